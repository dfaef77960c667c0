"""Resizes in TFLite: one operator where its flags say the same, else constant indices or matrices along each axis."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.passes import simplify
from edgefleet_contract.errors import OperatorUnsupported
from support.exports import assert_export_agrees, kinds
from support.onnx_graphs import OnnxGraph

COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")


def resize(
    image: tuple[int, ...], *, scales: tuple[float, ...] = (), sizes: tuple[int, ...] = (), **attributes: object
) -> ir.Model:
    graph = OnnxGraph()
    given = [graph.constant(scales)] if scales else ["", graph.constant(sizes, np.int64)]
    model = graph.model(graph.node("Resize", graph.input("x", *image), "", *given, **attributes))
    simplify(model)
    return model


@pytest.mark.parametrize("coordinates", [*COORDINATES, "tf_half_pixel_for_nn"])
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("sizes", [(8, 14), (3, 5), (5, 3)])
def test_the_nearest_neighbour_is_the_same_however_places_are_counted_and_rounded(coordinates, rounding, sizes):
    attributes = {"coordinate_transformation_mode": coordinates, "nearest_mode": rounding, "mode": "nearest"}
    assert_export_agrees(resize((1, 2, 4, 7), sizes=(1, 2, *sizes), **attributes), tolerance=0)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("sizes", [(8, 14), (3, 5), (1, 9)])
def test_interpolations_agree_however_places_are_counted(mode, coordinates, sizes):
    model = resize((1, 2, 4, 7), sizes=(1, 2, *sizes), mode=mode, coordinate_transformation_mode=coordinates)
    assert_export_agrees(model)


@pytest.mark.parametrize("attributes", [{"antialias": 1}, {"exclude_outside": 1, "mode": "cubic"}])
def test_wider_kernels_agree(attributes):
    assert_export_agrees(resize((1, 3, 8, 9), sizes=(1, 3, 5, 6), **{"mode": "linear", **attributes}))


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        (
            {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
            "NEAREST_NEIGHBOR",
        ),
        ({"mode": "nearest"}, "NEAREST_NEIGHBOR"),
        ({"mode": "linear"}, "BILINEAR"),
        ({"mode": "linear", "coordinate_transformation_mode": "asymmetric"}, "BILINEAR"),
        ({"mode": "linear", "coordinate_transformation_mode": "align_corners"}, "BILINEAR"),
    ],
)
def test_doubling_an_image_is_one_operator(attributes, kind):
    graph = assert_export_agrees(resize((1, 3, 4, 5), scales=(1, 1, 2, 2), **attributes))
    assert kinds(graph) == ["TRANSPOSE", f"RESIZE_{kind}", "TRANSPOSE"]


def test_scales_that_are_not_the_ratio_of_the_extents_count_as_they_are():
    assert_export_agrees(resize((1, 2, 5, 7), scales=(1, 1, 1.3, 0.7), mode="linear"))


@pytest.mark.parametrize("axes", [(2, 3), (3, 2), (-1,)])
def test_parameters_may_be_for_some_axes_only(axes):
    assert_export_agrees(resize((1, 2, 4, 5), scales=(2.0, 3.0)[: len(axes)], axes=axes, mode="linear"))


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_the_aspect_ratio_may_be_kept(policy):
    assert_export_agrees(resize((1, 2, 4, 6), sizes=(8, 9), axes=(2, 3), keep_aspect_ratio_policy=policy))


def test_a_region_is_cropped_and_resized():
    graph = OnnxGraph()
    region, sizes = graph.constant([0, 0, 0.25, 0.5, 1, 1, 0.75, 1]), graph.constant([1, 2, 6, 5], np.int64)
    name = graph.node(
        "Resize", graph.input("x", 1, 2, 8, 9), region, "", sizes,
        mode="linear", coordinate_transformation_mode="tf_crop_and_resize",
    )  # fmt: skip
    model = graph.model(name)
    simplify(model)
    assert_export_agrees(model)


def test_a_region_beyond_the_image_is_refused():
    graph = OnnxGraph()
    region, sizes = graph.constant([0, 0, -1, 0, 1, 1, 2, 1]), graph.constant([1, 2, 6, 5], np.int64)
    name = graph.node(
        "Resize", graph.input("x", 1, 2, 8, 9), region, "", sizes,
        mode="linear", coordinate_transformation_mode="tf_crop_and_resize",
    )  # fmt: skip
    with pytest.raises(OperatorUnsupported, match="beyond the image"):
        export_tflite(graph.model(name), io="float", io_layout="source")


@pytest.mark.parametrize(
    ("image", "scales"), [((1, 3, 7), (1, 1, 2)), ((4, 5), (2, 2)), ((1, 2, 3, 4, 5), (1, 1, 2, 1, 3))]
)
def test_values_that_are_no_images_agree(image, scales):
    assert_export_agrees(resize(image, scales=scales, mode="nearest"), tolerance=0)
