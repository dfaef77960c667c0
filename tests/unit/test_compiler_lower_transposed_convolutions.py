"""Transposed convolutions in TFLite: any stride, padding, dilation and group."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.passes import simplify
from edgefleet_contract.errors import OperatorUnsupported
from support.exports import assert_export_agrees, kinds
from support.onnx_graphs import OnnxGraph


def model_of(
    kernel: tuple[int, ...],
    image: tuple[int, ...] = (5, 6),
    *,
    groups: int = 1,
    bias: bool = True,
    **attributes: object,
) -> ir.Model:
    graph = OnnxGraph()
    channels, outputs = 4, 3
    operands = [graph.input("x", 1, channels, *image), graph.weights(channels, outputs, *kernel)]
    if bias:
        operands.append(graph.constant(np.linspace(-1, 1, groups * outputs)))
    model = graph.model(graph.node("ConvTranspose", *operands, group=groups, **attributes))
    simplify(model)
    return model


@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("pads", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_strides_and_pads_of_every_kind_agree(kernel, stride, pads):
    before, after = pads
    assert_export_agrees(model_of((kernel, 3), strides=[stride, 2], pads=[before, 0, after, 1]))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 3], "output_padding": [1, 2]},
        {"strides": [2, 1], "dilations": [1, 2], "pads": [0, 1, 2, 0]},
        {"strides": [2, 2], "pads": [2, 2, 2, 2]},
        {"strides": [3, 3], "auto_pad": "SAME_UPPER"},
        {"strides": [3, 2], "auto_pad": "SAME_LOWER"},
    ],
)
def test_groups_dilations_and_automatic_pads_agree(groups, attributes):
    assert_export_agrees(model_of((3, 3), groups=groups, **attributes))


def test_one_dimension_agrees():
    assert_export_agrees(model_of((3,), (7,), strides=[2], pads=[1, 1], output_padding=[1]))


def test_a_layer_without_biases_agrees():
    assert_export_agrees(model_of((2, 2), strides=[2, 2], bias=False))


@pytest.mark.parametrize(
    ("kernel", "attributes"), [((2, 2), {}), ((4, 4), {"pads": [1, 1, 1, 1]}), ((3, 3), {"pads": [0, 0, 1, 1]})]
)
def test_upsampling_by_two_is_one_operator(kernel, attributes):
    graph = assert_export_agrees(model_of(kernel, strides=[2, 2], **attributes))
    assert kinds(graph) == ["TRANSPOSE", "TRANSPOSE_CONV", "TRANSPOSE"]


def test_three_dimensions_are_refused_by_name():
    with pytest.raises(OperatorUnsupported, match="3 axes"):
        export_tflite(model_of((2, 2, 2), (3, 3, 3)), io="float", io_layout="source")
