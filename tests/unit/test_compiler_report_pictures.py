"""The report's pictures show what they say: every operator, every branch, every activation where it lies."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import numpy as np
import pytest
from jsonschema import Draft202012Validator
from markupsafe import Markup
from onnx import TensorProto, helper

from edgefleet_compiler.artifact import Workbench
from edgefleet_compiler.checks.layers import Layer
from edgefleet_compiler.lowered.lifetimes import tensor_bytes
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.report.pictures import draw_pictures
from edgefleet_compiler.report.pictures.arena import draw_arena
from edgefleet_compiler.report.pictures.boxes import boxes_of_file
from edgefleet_compiler.report.pictures.graph import Box, draw_graph
from edgefleet_compiler.report.pictures.histogram import draw_histogram
from edgefleet_compiler.report.pictures.interval import draw_interval
from edgefleet_compiler.report.pictures.ratios import draw_ratios
from edgefleet_compiler.report.schema import report_schema
from edgefleet_compiler.source import load_source
from support.model_files import write_calibration, write_classifier, write_validation
from support.onnx_graphs import OnnxGraph


def drawn(markup: Markup) -> ET.Element:
    return ET.fromstring(str(markup))


def titles(markup: Markup) -> list[str]:
    return [found.text or "" for found in drawn(markup).iter("title")]


def box(name: str, *reads: str) -> Box:
    return Box("ADD", name, "1 x 2", "float", reads, [name])


def test_a_branch_is_a_curve_that_swings_out_further_the_more_it_passes() -> None:
    boxes = [box("a", "input"), box("b", "a"), box("c", "b", "a"), box("d", "c", "a")]
    paths = [path.get("d", "") for path in drawn(draw_graph(boxes, "four")).iter("path")]
    assert sum("V" in path for path in paths) == 3
    reach = sorted(float(re.findall(r"C([\d.]+)", path)[0]) for path in paths if "C" in path)
    assert len(reach) == 2
    assert reach[0] < reach[1]


def test_every_operator_of_a_file_is_in_its_picture(tmp_path: Path) -> None:
    model = write_classifier(tmp_path / "model.onnx")
    kinds = [found.kind for found in boxes_of_file(model.read_bytes())]
    assert {"Conv", "Relu", "MaxPool", "Gemm"} <= set(kinds)
    assert "Constant" not in kinds, "what is computed from constants alone takes no part in inference"
    exported = Workbench(load_source(model, input_shapes={}), None, Silent()).build(
        Recipe(scheme="float", format="tflite", io="float", io_layout="source", seed=0), max_opset=None
    )
    after = boxes_of_file(exported.data)
    assert "CONV_2D + RELU" in {found.kind for found in after}
    assert {found.tone for found in after} == {"float"}
    shown = titles(draw_graph(after, "after"))
    assert len(shown) == len(after)


def test_what_computes_between_pairs_of_eight_bits_is_drawn_as_integers() -> None:
    graph = OnnxGraph()
    source = graph.pair(graph.input("x", 1, 2, 4, 4), 0.02, 0)
    weights = graph.stored(np.ones((3, 2, 1, 1), np.int8), np.full(3, 0.1))
    fused = graph.node("Relu", graph.node("Conv", source, weights))
    added = graph.node("Add", graph.pair(fused, 0.05, 0), graph.pair(fused, 0.05, 0))
    proto = graph.proto(graph.node("Sigmoid", graph.pair(graph.node("Sigmoid", added), 0.01, 0)))
    tones = [(box.kind, box.tone) for box in boxes_of_file(proto.SerializeToString()) if box.tone != "convert"]
    assert tones == [
        ("Conv", "integer"),
        ("Relu", "integer"),
        ("Add", "float"),
        ("Sigmoid", "float"),
        ("Sigmoid", "float"),
    ]


@pytest.mark.parametrize(("recipe", "tone"), [("int8", "integer"), ("weight-only", "float"), ("float", "float")])
def test_the_picture_of_an_onnx_artifact_says_what_its_convolutions_compute_with(
    tmp_path: Path, recipe: str, tone: str
) -> None:
    model, calibration = write_classifier(tmp_path / "model.onnx"), write_calibration(tmp_path / "c.npz")
    options = CompileOptions(model, ("x86-64",), tmp_path / "out", recipe=recipe, calibration=calibration)
    (outcome,) = compile_model(options, Silent())
    boxes = boxes_of_file((outcome.folder / "model.onnx").read_bytes())
    assert {box.tone for box in boxes if box.kind == "Conv"} == {tone}


def test_of_a_graph_that_nobody_would_scroll_through_the_rest_is_counted() -> None:
    nodes = [helper.make_node("Relu", [f"v{step}"], [f"v{step + 1}"]) for step in range(600)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in ("v0", "v600")]
    model = helper.make_model(helper.make_graph(nodes, "chain", ends[:1], ends[1:]))
    told = titles(draw_pictures(model.SerializeToString(), None).before)
    assert len(told) == 501
    assert "and 100 more" in told[-1]


def test_the_arena_shows_each_activation_where_and_when_it_lies(tmp_path: Path) -> None:
    source = load_source(write_classifier(tmp_path / "model.onnx"), input_shapes={})
    recipe = Recipe(scheme="float", format="tflite", io="float", io_layout="source", seed=0)
    exported = Workbench(source, None, Silent()).build(recipe, max_opset=None).exported
    graph, plan = exported.lowered, exported.memory
    assert graph is not None
    assert plan is not None
    rectangles = list(drawn(draw_arena(graph, plan)).iter("rect"))
    assert len(rectangles) == len(plan.offsets)
    bottoms = [float(shape.get("y", 0)) + float(shape.get("height", 0)) for shape in rectangles]
    lowest = [name for name, bottom in zip(plan.offsets, bottoms, strict=True) if bottom == max(bottoms)]
    assert {plan.offsets[name] for name in lowest} == {0}
    heights = {name: float(shape.get("height", 0)) for name, shape in zip(plan.offsets, rectangles, strict=True)}
    largest = max(plan.offsets, key=lambda name: tensor_bytes(graph.tensors[name]))
    assert heights[largest] == max(heights.values())


def test_an_interval_lies_left_of_zero_when_it_says_so() -> None:
    picture = drawn(draw_interval(-0.02, -0.03, -0.01))
    (interval,) = picture.iter("rect")
    zero = next(line for line in picture.iter("line") if line.get("x1") == line.get("x2"))
    assert float(interval.get("x", 0)) + float(interval.get("width", 0)) < float(zero.get("x1", 0))


def test_a_loss_of_nothing_can_be_drawn() -> None:
    assert "+0.0000" in str(draw_interval(0.0, 0.0, 0.0))


@pytest.mark.attack
def test_names_in_pictures_are_escaped() -> None:
    hostile = Box("<script>", '"><script>', "<b>", "float", [], ["out"])
    assert "<script" not in str(draw_graph([hostile], '"<script>'))


def test_reports_are_what_their_schema_says(tmp_path: Path) -> None:
    model = write_classifier(tmp_path / "model.onnx")
    data = {
        "calibration": write_calibration(tmp_path / "c.npz"),
        "validation": write_validation(tmp_path / "v.npz", model),
    }
    options = CompileOptions(model, ("x86-64", "rpi4", "nrf52840"), tmp_path / "out", **data, max_drop=1.0, max_ram=1)
    bare = CompileOptions(model, ("rpi4", "nrf52840"), tmp_path / "bare")
    schema = Draft202012Validator(report_schema())
    Draft202012Validator.check_schema(report_schema())
    for outcome in [*compile_model(options, Silent()), *compile_model(bare, Silent())]:
        document = msgspec.json.decode((outcome.folder / "report.json").read_bytes())
        assert [fault.message for fault in schema.iter_errors(document)] == []
        assert set(document) == set(report_schema()["$defs"]["Report"]["properties"])
    document["verdict"] = "perhaps"
    assert not schema.is_valid(document)


def test_the_schema_describes_every_field_of_the_report() -> None:
    definition = report_schema()["$defs"]["Report"]
    undescribed = [
        name
        for name, form in definition["properties"].items()
        if name != "schema_version" and "description" not in form
    ]
    assert undescribed == []


def layer(name: str, ratio: float | None, cause: str | None = None) -> Layer:
    return Layer(name=name, operator="Conv", sqnr_db=ratio, bytes=4, cause=cause)


def test_the_curve_of_ratios_falls_with_them_and_marks_a_layer_that_has_a_cause() -> None:
    curve = draw_ratios([layer("first", 40.0), layer("silent", None), layer("second", 12.5, "outlier channel")])
    assert curve is not None
    points = list(drawn(curve).iter("circle"))
    assert [point.get("class") for point in points] == ["point", "bad"]
    assert float(points[0].get("cy", 0)) < float(points[1].get("cy", 0))
    assert titles(curve) == ["first: 40.0 dB", "second: 12.5 dB, outlier channel"]


def test_there_is_no_curve_of_a_single_ratio() -> None:
    assert draw_ratios([layer("only", 30.0), layer("silent", None)]) is None


def test_a_histogram_shows_every_value_once_and_both_ranges() -> None:
    edges, counts = [index / 50 for index in range(501)], [1000 - index for index in range(500)]
    told = titles(draw_histogram(edges, counts, before=(0.0, 10.0), after=(0.0, 2.5)))
    shown = [int(found[1].replace(",", "")) for text in told if (found := re.match(r"([\d,]+) values", text))]
    assert sum(shown) == sum(counts)
    assert len(shown) <= 110
    assert told[-2:] == ["range before: 0 to 10", "range after: 0 to 2.5"]
