"""Models that keep a memory of earlier inferences: golden vectors begin at rest, and leave it so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefleet_agent import frames
from edgefleet_agent.child.contents import Contents
from edgefleet_agent.child.model import Model
from edgefleet_agent.child.session import Session
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pack.folder import unpack
from edgefleet_compiler.pipeline import compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.tflite.writer import write_tflite
from support.quantised_tflite import memory_network

pytestmark = pytest.mark.integration


@pytest.fixture
def slot(tmp_path: Path) -> Path:
    source = tmp_path / "memory.tflite"
    source.write_bytes(write_tflite(memory_network(1)))
    (outcome,) = compile_model(CompileOptions(source, ("rpi4",), tmp_path / "out"), Silent())
    assert outcome.report.bundle is not None
    unpack(Path(outcome.report.bundle.path), tmp_path / "slot")
    return tmp_path / "slot"


def test_golden_vectors_come_out_however_often_they_are_run(slot: Path) -> None:
    session = Session(frames.Load(slot=str(slot), memory_bytes=0, threads=1))
    for _ in range(2):
        run = session.answer(frames.RunGolden("golden/artifact.npz", 0))
        assert isinstance(run, frames.GoldenRun)
        assert run.max_abs == 0
        assert run.agreements == run.n == run.total


def test_other_inferences_remember_what_came_before(slot: Path) -> None:
    model = Model(Contents(slot, None), threads=1)
    case = [np.random.default_rng(3).normal(0, 0.3, 16).astype(np.float32)]
    first, second = (model.run(case)[0] for _ in range(2))
    assert not np.array_equal(first, second)
    model.rest()
    assert np.array_equal(model.run(case)[0], first)
