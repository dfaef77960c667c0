"""The MLPerf Tiny models, compiled by one command each: size, accuracy, and the same numbers in both formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.tflite.reader import read_tflite
from support.commands import Run, runner

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
pytestmark = pytest.mark.shared

Floats = NDArray[np.float32]


def normal(low: float, high: float, shape: tuple[int, ...], n: int, seed: int) -> Floats:
    """Normally distributed inputs, three deviations to either end of a range, clipped to it."""
    values = np.random.default_rng(seed).normal((low + high) / 2, (high - low) / 6, (n, *shape))
    return np.clip(values, low, high).astype(np.float32)


def enlarged(role: str, n: int) -> Floats:
    """CIFAR-10 images at 96 x 96, 0 to 1."""
    images = np.load(SHARED / "data" / f"cifar10_{role}.npz")["x"][:n]
    large = [np.asarray(Image.fromarray(image).resize((96, 96), Image.Resampling.BILINEAR)) for image in images]
    return np.stack(large).astype(np.float32) / np.float32(255)


SETS: dict[str, Callable[[], tuple[Floats, Floats]]] = {
    "kws_ref_model_float32": lambda: tuple(normal(-123.4, 25.7, (49, 10, 1), n, s) for n, s in ((300, 1), (2000, 2))),  # type: ignore[dict-item,return-value]
    "vww_96_float": lambda: (enlarged("calibration", 200), enlarged("validation", 500)),
    "ad01_fp32": lambda: tuple(normal(-84.9, 14.9, (640,), n, s) for n, s in ((300, 1), (2000, 2))),  # type: ignore[dict-item,return-value]
}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def compiled(run: Run, model: str, calibration: Path, validation: Path, out: Path) -> dict[str, Any]:
    """One command for both formats; the reports by target."""
    ended = run(
        "model", "compile", SHARED / "models" / f"{model}.tflite", "--target", "rpi4", "--target", "x86-64-vnni",
        "--recipe", "int8", "--calibration", calibration, "--validation", validation, "--out", out, "--json",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    return {report["target"]: report for report in ended.document["targets"]}


def with_data(model: str, folder: Path) -> tuple[Path, Path]:
    calibration, validation = folder / "calibration.npz", folder / "validation.npz"
    for path, cases in zip((calibration, validation), SETS[model](), strict=True):
        np.savez(path, x=cases)
    return calibration, validation


def integer_constants(reports: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights, biases and scales of both artifacts, as multisets of their bytes, whatever the axis order."""

    def key(array: NDArray[np.generic]) -> tuple[str, bytes]:
        return str(array.dtype), np.sort(array.reshape(-1)).tobytes()

    graph = read_tflite(Path(reports["rpi4"]["artifact"]["path"]).read_bytes())
    tflite: dict[str, Any] = {"int8": [], "int32": [], "scales": set()}
    for tensor in graph.tensors.values():
        if tensor.quantisation is None:
            continue
        if tensor.data is not None:
            tflite[str(tensor.dtype)].append(key(tensor.data))
        tflite["scales"].add(key(tensor.quantisation.scale))
    model = onnx.load(reports["x86-64-vnni"]["artifact"]["path"])
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    stored, scales = {}, set()
    for node in model.graph.node:
        if node.op_type == "Mul" and all(name in constants for name in node.input):
            constants[node.output[0]] = constants[node.input[0]] * constants[node.input[1]]  # the scales of a bias
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            scales.add(key(constants[node.input[1]].reshape(-1)))
            if node.input[0] in constants:
                stored[node.input[0]] = constants[node.input[0]]
    ours: dict[str, Any] = {"int8": [], "int32": [], "scales": scales}
    for array in stored.values():
        ours[str(array.dtype)].append(key(array))
    return tflite, ours


def outputs(report: dict[str, Any], cases: Floats) -> Floats:
    artifact = report["artifact"]
    model = open_runner(Path(artifact["path"]).read_bytes(), artifact["format"])
    return np.concatenate([model.run([case[np.newaxis]])[0] for case in cases]).astype(np.float32)


def decibels(reference: Floats, other: Floats) -> float:
    centred = reference.astype(np.float64) - reference.mean(axis=0)
    noise = np.square(reference.astype(np.float64) - other).sum()
    return float("inf") if noise == 0 else 10 * float(np.log10(np.square(centred).sum() / noise))


def test_ic_loses_nothing_and_is_the_same_model_in_both_runtimes(run: Run, tmp_path: Path) -> None:
    data = [SHARED / "data" / f"cifar10_{role}.npz" for role in ("calibration", "validation")]
    reports = compiled(run, "pretrainedResnet", *data, tmp_path / "ic")
    for report in reports.values():
        assert report["accuracy"]["metric"] == "top1"
        assert report["accuracy"]["n"] == 2500
        assert report["accuracy"]["drop"] <= 0.01
    assert reports["rpi4"]["artifact"]["bytes"] <= 98_496
    cases = np.load(data[1])["x"].astype(np.float32)
    tflite, ours = outputs(reports["rpi4"], cases), outputs(reports["x86-64-vnni"], cases)
    ties = ours[np.arange(len(ours)), tflite.argmax(axis=1)] == ours.max(axis=1)
    assert ties.mean() >= 0.98
    assert decibels(tflite, ours) >= 26
    again = compiled(run, "pretrainedResnet", *data, tmp_path / "elsewhere" / "ic")
    for target, report in reports.items():
        assert again[target]["artifact"]["sha256"] == report["artifact"]["sha256"]
        assert again[target]["bundle"]["digest"] == report["bundle"]["digest"]


def test_weights_biases_and_scales_of_both_artifacts_are_the_same(run: Run, tmp_path: Path) -> None:
    data = [SHARED / "data" / f"cifar10_{role}.npz" for role in ("calibration", "validation")]
    reports = compiled(run, "pretrainedResnet", *data, tmp_path / "ic")
    tflite, ours = integer_constants(reports)
    for kind in ("int8", "int32"):
        assert sorted(tflite[kind]) == sorted(ours[kind])
        assert len(ours[kind]) == 10  # nine convolutions and a fully connected layer
    assert tflite["scales"] == ours["scales"]


@pytest.mark.parametrize("model", ["kws_ref_model_float32", "vww_96_float", "ad01_fp32"])
def test_the_other_models_keep_what_they_say(run: Run, tmp_path: Path, model: str) -> None:
    calibration, validation = with_data(model, tmp_path)
    reports = compiled(run, model, calibration, validation, tmp_path / "out")
    for report in reports.values():
        against_source, _ = report["parity"]
        if model == "kws_ref_model_float32":
            assert against_source["argmax_agreement"] >= 0.98
        if model == "vww_96_float":
            assert against_source["sqnr_db"] >= 13
        if model == "ad01_fp32":
            assert score_shift(report, np.load(validation)["x"]) <= 0.005
    if model == "kws_ref_model_float32":
        assert reports["rpi4"]["artifact"]["bytes"] < 48_736  # the best peer's file


def score_shift(report: dict[str, Any], cases: Floats) -> float:
    """How far the reconstruction error of an autoencoder moves on the mean, relative to the source's."""
    source = open_runner((SHARED / "models" / "ad01_fp32.tflite").read_bytes(), "tflite")
    original = np.concatenate([source.run([case[np.newaxis]])[0] for case in cases]).astype(np.float64)
    before = np.square(original - cases).mean(axis=1)
    after = np.square(outputs(report, cases).astype(np.float64) - cases).mean(axis=1)
    return float((np.abs(after - before) / before).mean())


@pytest.mark.parametrize("model", ["pretrainedResnet", "vww_96_float"])
def test_a_microcontroller_gets_integer_inputs_and_keeps_to_its_budget(run: Run, tmp_path: Path, model: str) -> None:
    data = [SHARED / "data" / f"cifar10_{role}.npz" for role in ("calibration", "validation")]
    calibration, validation = data if model == "pretrainedResnet" else with_data(model, tmp_path)
    ended = run(
        "model", "compile", SHARED / "models" / f"{model}.tflite", "--target", "nrf52840", "--calibration", calibration,
        "--validation", validation, "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    (report,) = ended.document["targets"]
    assert {line["name"] for line in report["budget"]} == {"flash", "ram"}
    runtime = open_runner(Path(report["artifact"]["path"]).read_bytes(), "tflite", execution="plain")
    assert {tensor.dtype for tensor in (*runtime.inputs, *runtime.outputs)} == {np.dtype(np.int8)}
