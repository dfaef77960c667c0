"""PyTorch models, exported as the guide says: they compile, and compute what PyTorch computes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgefleet_compiler.checks.runtimes import open_runner
from support.commands import Run, runner

pytestmark = [pytest.mark.torch, pytest.mark.integration]
MAKER = Path(__file__).resolve().parents[1] / "support" / "torch_models.py"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, made by a process of its own: torch warns of much, and is large."""
    folder = tmp_path_factory.mktemp("torch")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, str(MAKER), str(folder)],
        env=environment, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", ["residual", "lstm", "gru", "transformer", "unet"])
def test_an_exported_model_computes_what_pytorch_computes(run: Run, exported: Path, tmp_path: Path, name: str) -> None:
    targets = ("--target", "rpi4", "--target", "x86-64")
    model = exported / name / "model.onnx"
    ended = run("model", "compile", model, *targets, "--recipe", "float", "--out", tmp_path / "out", "--json")
    assert ended.status == 0, ended.err
    with np.load(exported / name / "cases.npz") as arrays:
        cases, expected = arrays["x"], arrays["y"]
    for report in ended.document["targets"]:
        artifact = open_runner(Path(report["artifact"]["path"]).read_bytes(), report["artifact"]["format"])
        assert ([tensor.name for tensor in artifact.inputs], artifact.inputs[0].shape) == (["image"], cases[0].shape)
        assert [tensor.name for tensor in artifact.outputs] == ["classes"]
        seen = np.stack([artifact.run([case])[0] for case in cases])
        np.testing.assert_allclose(seen, expected, atol=1e-4 * np.abs(expected).max())
