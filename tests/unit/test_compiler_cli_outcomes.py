"""What a compilation shows in the end can be read on a terminal of any usual width."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from edgefleet_compiler.cli.outcomes import show_outcomes
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import Outcome, compile_model
from edgefleet_compiler.progress import Silent
from support.model_files import write_calibration, write_classifier, write_validation


@pytest.fixture
def outcomes(tmp_path: Path) -> list[Outcome]:
    model = write_classifier(tmp_path / "model.onnx")
    data = {
        "calibration": write_calibration(tmp_path / "c.npz"),
        "validation": write_validation(tmp_path / "v.npz", model),
    }
    targets = ("corstone300-m55", "x86-64-vnni")
    return list(
        compile_model(CompileOptions(model, targets, tmp_path / "out", max_drop=1.0, recipe="int8", **data), Silent())
    )


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_word_is_broken(outcomes: list[Outcome], width: int) -> None:
    text = io.StringIO()
    show_outcomes(outcomes, Console(file=text, width=width))
    shown = text.getvalue()
    words = ["target", "verdict", "artifact", "recipe", "size", "accuracy", "peak RAM", "accepted", "tflite", "onnx"]
    for word in words:
        assert word in shown
    for outcome in outcomes:
        assert outcome.report.accuracy is not None
        assert f"{outcome.report.accuracy.compiled:.4f}" in shown
        assert f"{outcome.report.target}: {outcome.folder}" in shown
    whole = ("out/", "model.onnx", "lossless pruning")  # terminals wrap these: what is piped has each in one line
    drawn = [line for line in shown.splitlines() if not any(part in line for part in whole)]
    assert max(map(len, drawn)) <= width
