"""The MLPerf Tiny models, as Keras left them and in float TFLite: one command each compiles for all targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgefleet_compiler.checks.runtimes import open_runner
from support.commands import Run, runner

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
TARGETS = ("rpi4", "android", "web", "x86-64", "nrf52840")
pytestmark = [pytest.mark.shared, pytest.mark.integration]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def cases(shape: tuple[int, ...], low: float, high: float, n: int = 60) -> NDArray[np.float32]:
    return np.random.default_rng(3).uniform(low, high, (n, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("model", "same_as", "low", "high", "names"),
    [
        ("pretrainedResnet", "pretrainedResnet", 0.0, 255.0, ("input_1", "dense")),
        ("vww_96", "vww_96_float", 0.0, 1.0, ("input_1", "dense")),
        ("ad01", "ad01_fp32", -80.0, 10.0, ("input_1", "dense_9")),
    ],
)
def test_a_keras_file_compiles_for_every_kind_of_target_by_one_command(
    run: Run, tmp_path: Path, model: str, same_as: str, low: float, high: float, names: tuple[str, str]
) -> None:
    published = open_runner((SHARED / "models" / f"{same_as}.tflite").read_bytes(), "tflite")
    reports = compiled(run, f"{model}.h5", cases(published.inputs[0].shape[1:], low, high), tmp_path)
    for report in reports.values():
        assert report["source"]["format"] == "h5"
        artifact = open_runner(Path(report["artifact"]["path"]).read_bytes(), report["artifact"]["format"])
        assert (artifact.inputs[0].name, artifact.outputs[0].name) == names
        assert artifact.inputs[0].shape == published.inputs[0].shape


@pytest.mark.parametrize(
    ("model", "shape", "low", "high"),
    [
        ("pretrainedResnet", (32, 32, 3), 0.0, 255.0),
        ("vww_96_float", (96, 96, 3), 0.0, 1.0),
        ("ad01_fp32", (640,), -80.0, 10.0),
        ("kws_ref_model_float32", (49, 10, 1), -120.0, 25.0),
    ],
)
def test_a_float_tflite_file_compiles_for_every_kind_of_target_by_one_command(
    run: Run, tmp_path: Path, model: str, shape: tuple[int, ...], low: float, high: float
) -> None:
    compiled(run, f"{model}.tflite", cases(shape, low, high), tmp_path)


def compiled(run: Run, model: str, data: NDArray[np.float32], folder: Path) -> dict[str, Any]:
    """The reports by target, all of them of accepted artifacts."""
    np.savez(folder / "data.npz", x=data)
    targets = [word for target in TARGETS for word in ("--target", target)]
    ended = run(
        "model", "compile", SHARED / "models" / model, *targets, "--recipe", "int8", "--max-drop", "1",
        "--calibration", folder / "data.npz", "--out", folder / "out", "--json",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    reports = {report["target"]: report for report in ended.document["targets"]}
    assert list(reports) == list(TARGETS)
    assert {report["verdict"] for report in reports.values()} == {"accepted"}
    return reports


# Of ad01 the two files that are published come of different trainings.
@pytest.mark.parametrize(("model", "same_as"), [("pretrainedResnet", "pretrainedResnet"), ("vww_96", "vww_96_float")])
def test_a_keras_file_computes_what_the_float_model_published_beside_it_computes(
    run: Run, tmp_path: Path, model: str, same_as: str
) -> None:
    published = open_runner((SHARED / "models" / f"{same_as}.tflite").read_bytes(), "tflite")
    ended = run(
        "model", "compile", SHARED / "models" / f"{model}.h5", "--target", "x86-64", "--recipe", "float",
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    artifact = ended.document["targets"][0]["artifact"]
    ours = open_runner(Path(artifact["path"]).read_bytes(), artifact["format"])
    for case in cases(published.inputs[0].shape, 0, 1, n=8):
        (expected,), (seen,) = published.run([case]), ours.run([case])
        np.testing.assert_allclose(seen, expected, atol=2e-4 * np.abs(expected).max())
