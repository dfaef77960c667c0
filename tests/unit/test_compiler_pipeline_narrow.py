"""Recipes with narrow weights and with rounding at run time, from the request to the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import Outcome, compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import CalibrationMissing
from support.model_files import write_calibration, write_validation
from support.onnx_graphs import OnnxGraph

INT4 = """
version = 1
scheme = "int8"
format = "{format}"
io = "{io}"
io-layout = "source"
seed = 0

[quantise]
weights = "int4"
fully-connected = "{scales}"
narrow-pairs = true
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A classifier of four classes whose layers have enough weights to be worth storing narrowly."""
    graph = OnnxGraph()
    value = graph.node("Relu", graph.conv(graph.input("x", 1, 1, 8, 8), (1, 16), (3, 3)))
    value = graph.node("GlobalAveragePool", graph.conv(value, (16, 32), (3, 3)))
    path = tmp_path / "model.onnx"
    proto = graph.proto(graph.gemm(graph.node("Flatten", value), 32, 4))
    path.write_bytes(proto.SerializeToString())
    return path


def compiled(model: Path, target: str, out: str = "out", **options: Any) -> Outcome:
    folder = model.parent
    given: dict[str, Any] = {"validation": write_validation(folder / "v.npz", model), "max_drop": 1.0, **options}
    (outcome,) = compile_model(CompileOptions(model, [target], out=folder / out, **given), Silent())
    return outcome


def int4_recipe(model: Path, *, form: str, io: str = "float", scales: str = "per-channel") -> str:
    path = model.parent / "int4.toml"
    path.write_text(INT4.format(format=form, io=io, scales=scales))
    return str(path)


@pytest.mark.parametrize("recipe", ["weight-only", "dynamic"])
@pytest.mark.parametrize("target", ["rpi4", "x86-64"])
def test_neither_needs_a_calibration_set_and_the_written_recipe_gives_the_same_bytes(
    model: Path, recipe: str, target: str
) -> None:
    first = compiled(model, target, recipe=recipe)
    assert (first.report.recipe, first.refusals) == (recipe, [])
    assert first.report.bundle is not None
    again = compiled(model, target, out="again", recipe=str(first.folder / "recipe.toml"))
    for path in sorted(first.folder.glob("model*")):
        assert path.read_bytes() == (again.folder / path.name).read_bytes(), path.name
    plain = compiled(model, target, out="plain", recipe="float")
    assert first.report.artifact is not None
    assert plain.report.artifact is not None
    assert first.report.artifact.bytes < 0.6 * plain.report.artifact.bytes


@pytest.mark.parametrize("recipe", ["weight-only", "dynamic"])
def test_a_target_without_float_refuses_them(model: Path, recipe: str) -> None:
    outcome = compiled(model, "nrf52840", recipe=recipe)
    assert [refusal.code for refusal in outcome.refusals] == ["recipe.unfit"]


def test_the_manifest_of_weights_in_four_bits_asks_for_a_runtime_that_reads_them(model: Path) -> None:
    calibration = write_calibration(model.parent / "c.npz")
    outcome = compiled(model, "x86-64", recipe=int4_recipe(model, form="onnx"), calibration=calibration)
    assert outcome.refusals == []
    with Bundle(next(outcome.folder.glob("*.efb"))) as bundle:
        assert bundle.manifest.runtime.min_version == "1.23"


ROUNDED = """
version = 1
scheme = "{scheme}"
format = "onnx"
io = "float"
io-layout = "source"
seed = 0

[quantise]
rounding = "second-order"
"""


@pytest.mark.parametrize("scheme", ["weight-only", "dynamic"])
def test_weights_are_rounded_by_what_they_do_to_typical_inputs(model: Path, scheme: str) -> None:
    path = model.parent / "rounded.toml"
    path.write_text(ROUNDED.format(scheme=scheme))
    with pytest.raises(CalibrationMissing, match=scheme):
        compiled(model, "x86-64-vnni", recipe=str(path))
    calibration = write_calibration(model.parent / "c.npz")
    nearest, second = (
        compiled(model, "x86-64-vnni", recipe=recipe, calibration=calibration).report
        for recipe in (plain(model, scheme), str(path))
    )
    assert second.parity[0].sqnr_db > nearest.parity[0].sqnr_db


def plain(model: Path, scheme: str, form: str = "onnx") -> str:
    path = model.parent / "plain.toml"
    path.write_text(ROUNDED.format(scheme=scheme).replace("second-order", "nearest").replace("onnx", form))
    return str(path)


@pytest.mark.parametrize(
    ("scheme", "target", "form"),
    [("weight-only", "x86-64", "onnx"), ("dynamic", "rpi4", "tflite"), ("int16x8", "rpi4", "tflite")],
)
def test_schemes_are_refined_where_there_are_typical_inputs_and_replay_without_a_search(
    model: Path, scheme: str, target: str, form: str
) -> None:
    calibration = write_calibration(model.parent / "c.npz")
    nearest = compiled(model, target, recipe=plain(model, scheme, form), calibration=calibration).report
    refined = compiled(model, target, recipe=scheme, calibration=calibration)
    assert refined.report.parity[0].sqnr_db > nearest.parity[0].sqnr_db + 1
    written = refined.folder / "recipe.toml"
    assert "bias-correction = true" in written.read_text()
    kept = written.rename(model.parent / "kept.toml")
    again = compiled(model, target, recipe=str(kept), calibration=calibration)
    assert again.report.artifact is not None
    assert refined.report.artifact is not None
    assert again.report.artifact.sha256 == refined.report.artifact.sha256


def test_weights_that_need_no_rounding_are_rounded_to_nearest(model: Path) -> None:
    proto = onnx.load(model)
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.ndim > 1:
            stored = np.rint(array * 127 / np.abs(array).max())
            rows = stored.reshape(len(stored), -1)
            rows[:, 0] = 127  # so that each channel has the scale 1
            tensor.CopyFrom(numpy_helper.from_array(rows.reshape(array.shape).astype(np.float32), tensor.name))
    onnx.save(proto, model)
    calibration = write_calibration(model.parent / "c.npz")
    outcome = compiled(model, "x86-64", recipe="weight-only", calibration=calibration)
    assert 'rounding = "nearest"' in (outcome.folder / "recipe.toml").read_text()


def test_microcontrollers_take_weights_in_four_bits(model: Path) -> None:
    recipe = int4_recipe(model, form="tflite", io="int8", scales="per-tensor")
    outcome = compiled(model, "nrf52840", recipe=recipe, calibration=write_calibration(model.parent / "c.npz"))
    assert outcome.refusals == []


def test_a_runtime_without_such_kernels_is_named_with_the_layer(model: Path) -> None:
    recipe = int4_recipe(model, form="tflite")
    outcome = compiled(model, "rpi2-armv7", recipe=recipe, calibration=write_calibration(model.parent / "c.npz"))
    (refusal,) = outcome.refusals
    assert refusal.code == "operator.unsupported"
    assert "FULLY_CONNECTED" in str(refusal)
    assert "one scale, not one per channel" in str(refusal)
    assert not list(outcome.folder.glob("*.efb"))
