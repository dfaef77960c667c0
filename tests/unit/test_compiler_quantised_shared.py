"""Published quantised TFLite models: kept bit for bit and no larger, and lifted to ONNX with their parity reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import Outcome, compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.tflite.reader import read_tflite
from support.tflite_graphs import SHARED_INT8, SHARED_MODELS

pytestmark = pytest.mark.shared

CASES = 500
MODELS = [*SHARED_INT8, "keyword_scrambled"]


def compiled(name: str, folder: Path, target: str) -> tuple[Outcome, bytes]:
    request = CompileOptions(SHARED_MODELS / f"{name}.tflite", (target,), folder)
    (outcome,) = compile_model(request, Silent())
    assert not outcome.refusals
    assert outcome.report.artifact is not None
    return outcome, Path(outcome.report.artifact.path).read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_is_kept_bit_for_bit_and_no_larger(name: str, tmp_path: Path) -> None:
    source = (SHARED_MODELS / f"{name}.tflite").read_bytes()
    outcome, kept = compiled(name, tmp_path, "rpi4")
    assert outcome.report.recipe == "source"
    assert len(kept) <= len(source)
    runners = [open_runner(data, "tflite", execution="plain") for data in (source, kept)]
    (taken,) = runners[0].inputs
    limits, random = np.iinfo(taken.dtype), np.random.default_rng(0)  # type: ignore[type-var]  # all take integers
    for _ in range(CASES):
        given = random.integers(limits.min, limits.max, taken.shape, endpoint=True).astype(taken.dtype)
        before, after = ([output.tobytes() for output in runner.infer([given])] for runner in runners)
        assert before == after


@pytest.mark.parametrize("name", SHARED_INT8)
def test_a_published_model_runs_in_onnxruntime_with_its_parity_reported(name: str, tmp_path: Path) -> None:
    outcome, data = compiled(name, tmp_path, "x86-64")
    assert outcome.report.artifact is not None
    assert outcome.report.artifact.format == "onnx"
    parity = {entry.oracle: entry for entry in outcome.report.parity}
    assert parity["source"].argmax_agreement >= 0.8
    assert parity["source"].sqnr_db is not None
    assert parity["source"].sqnr_db > 10
    source = read_tflite((SHARED_MODELS / f"{name}.tflite").read_bytes())
    assert [tensor.name for tensor in open_runner(data, "onnx").inputs] == source.inputs


def test_the_published_model_with_states_runs_in_onnxruntime_with_its_parity_reported(tmp_path: Path) -> None:
    outcome, data = compiled("keyword_scrambled", tmp_path, "x86-64")
    parity = {entry.oracle: entry for entry in outcome.report.parity}
    assert parity["source"].max_abs < 1e-4  # its weights are scrambled: it gives the same of every input
    runner = open_runner(data, "onnx")
    assert len(runner.inputs) == 1 + 7
    assert len(runner.outputs) == 1 + 7
