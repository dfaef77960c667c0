"""The last rung of a budget: where nothing accurate fits, what fits is trained over the calibration set."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_compiler.ladder.training import FEWEST_LESSONS
from support.commands import runner
from support.model_files import images, write_calibration, write_validation
from support.onnx_graphs import OnnxGraph

pytestmark = pytest.mark.integration


def write_net(path: Path) -> Path:
    """Image (1, 1, 8, 8) to four probabilities, by two fully connected layers."""
    graph = OnnxGraph(5)
    image = graph.input("image", 1, *images(1).shape[1:])
    hidden = graph.node("Relu", graph.gemm(graph.reshape(image, 1, 64), 64, 32))
    graph.node("Softmax", graph.gemm(hidden, 32, 4), axis=1, name="probabilities")
    path.write_bytes(graph.proto("probabilities").SerializeToString())
    return path


def test_what_fits_and_lost_too_much_is_trained_where_there_are_cases_enough(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = write_net(tmp_path / "model.onnx")
    calibration = write_calibration(tmp_path / "c.npz", count=FEWEST_LESSONS)
    validation = write_validation(tmp_path / "v.npz", model, count=200)
    ended = runner(capsys)(
        *("model", "compile", model, "--target", "rpi4", "--calibration", calibration, "--validation", validation),
        *("--max-flash", 2800, "--max-drop", 0.0, "--out", tmp_path / "out", "--json"),
    )
    rungs = ended.document["targets"][0]["rungs"]
    (trained,) = (rung for rung in rungs if rung["rung"].endswith(", fine-tuned"))
    (before,) = (rung for rung in rungs if rung["rung"] == trained["rung"].removesuffix(", fine-tuned"))
    assert before["outcome"] in ("inaccurate", "refused")
    assert trained["bytes"] <= 2800
    assert trained["sqnr_db"] > before["sqnr_db"]
