"""Fine-tuning for real: TensorFlow trains small models in its child, as the command and recipes ask for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefleet_contract.bundle import Bundle
from support.commands import Run, runner
from support.model_files import images, write_classifier, write_validation
from support.onnx_graphs import OnnxGraph
from support.sweeps import children_of, is_running, wait_for

pytestmark = pytest.mark.integration

TESTS = Path(__file__).resolve().parents[1]
DIGITS = TESTS.parent / "examples" / "digits"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def test_every_operator_computes_and_learns_as_onnxruntime_computes() -> None:
    paths = os.pathsep.join([str(TESTS), *(path for path in sys.path if path)])
    done = subprocess.run(
        [sys.executable, "-m", "support.trained_graphs"],
        env={**os.environ, "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    document = json.loads(done.stdout)
    assert document["untried"] == []
    wrong = {name: found for name, found in document["graphs"].items() if found["difference"] > 1e-5}
    assert wrong == {}
    assert [name for name, found in document["graphs"].items() if not found["learns"]] == []
    assert document["graphs"]["pairs"]["weights"] == 6


def test_pruned_digits_are_as_right_as_before_after_a_little_training(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    ended = run(
        *("model", "finetune", DIGITS / "digits.onnx", "--data", DIGITS / "train.npz", "--prune", 0.7),
        *("--validation", DIGITS / "validation.npz", "--batch", 16, "--epochs", 6, "--out", out, "--json"),
    )
    assert ended.status == 0, ended.err
    tuned = ended.document["run"]
    before, after = tuned["epochs"][0], tuned["epochs"][tuned["best"]]
    assert tuned["macs"] <= 0.3 * tuned["macs_source"]
    assert before["validation_top1"] < 0.93
    assert after["validation_top1"] >= 0.955  # the source: 0.978
    assert tuned["epochs"][-1]["loss"] < tuned["epochs"][1]["loss"]
    assert sorted(path.name for path in out.iterdir()) == ["finetune.json", "model.onnx", "report.html"]
    assert "<svg" in (out / "report.html").read_text()
    told = ended.err.splitlines()
    assert told[:2] == ["reading models", "reading cases"]
    assert "starting TensorFlow" in told
    for epoch in tuned["epochs"][1:]:
        figures = f"loss {epoch['validation_loss']:.4g}, top1 {epoch['validation_top1']:.4f}"
        assert [line for line in told if line.startswith(f"epoch {epoch['epoch']} of 6: loss ") and figures in line]
    assert "warning" not in ended.err

    compiled = run(
        *("model", "compile", out / "model.onnx", "--target", "rpi4", "--recipe", "int8", "--out", tmp_path / "out"),
        *("--calibration", DIGITS / "calibration.npz", "--validation", DIGITS / "validation.npz", "--json"),
    )
    assert compiled.status == 0, compiled.err
    report = compiled.document["targets"][0]
    assert report["accuracy"]["baseline"] == pytest.approx(after["validation_top1"])
    assert report["macs"] == tuned["macs"]


def test_a_run_that_is_killed_goes_on_to_the_same_bytes(run: Run, tmp_path: Path) -> None:
    """Rounded as int8, pruned, with augmented images: everything that has a state."""
    asked = [
        *("model", "finetune", DIGITS / "digits.onnx", "--data", DIGITS / "calibration.npz", "--recipe", "int8"),
        *("--prune", 0.3, "--epochs", 5, "--augment", "flip-crop", "--seed", 3),
    ]
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    ended = run(*asked, "--out", undisturbed)
    assert ended.status == 0, ended.err

    command = [sys.executable, "-m", "edgefleet", *map(str, asked), "--out", str(killed)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_for(lambda: _epochs_in(killed) >= 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 2 <= _epochs_in(killed) < 6

    again = run(*asked, "--out", killed)
    assert again.status == 2
    assert "error[run.mismatch]" in again.err
    assert "--resume" in again.err
    other = run(*asked, "--out", killed, "--resume", "--batch", 32)
    assert other.status == 2
    assert "batch '64' instead of '32'" in other.err

    resumed = run(*asked, "--out", killed, "--resume")
    assert resumed.status == 0, resumed.err
    assert _files_of(killed) == _files_of(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_before_its_first_epoch_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    words = ["model", "finetune", DIGITS / "digits.onnx", "--data", DIGITS / "train.npz", "--out", tmp_path / "a" / "b"]
    command = [sys.executable, "-m", "edgefleet", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = list(iter(process.stderr.readline, "starting TensorFlow\n"))
        assert told == ["reading models\n", "reading cases\n"]
        wait_for(lambda: children_of(process.pid))
        children = children_of(process.pid)
        process.send_signal(number)
        out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "")
    assert said == {signal.SIGINT: "interrupted\n", signal.SIGTERM: "terminated\n"}[number]
    assert not any(map(is_running, children))
    assert list(tmp_path.iterdir()) == []


def test_an_autoencoder_learns_to_give_its_input_back(run: Run, tmp_path: Path) -> None:
    graph = OnnxGraph(4)
    inner = graph.node("Tanh", graph.gemm(graph.input("signal", 1, 12), 12, 3))
    model, data, out = tmp_path / "coder.onnx", tmp_path / "signals.npz", tmp_path / "tuned"
    model.write_bytes(graph.proto(graph.gemm(inner, 3, 12)).SerializeToString())
    generator = np.random.default_rng(0)
    np.savez(data, x=(generator.normal(size=(400, 2)) @ generator.normal(size=(2, 12))).astype(np.float32))
    ended = run(*("model", "finetune", model, "--data", data, "--epochs", 15, "--learning-rate", 0.05, "--out", out))
    assert ended.status == 0, ended.err
    tuned = json.loads((out / "finetune.json").read_bytes())
    assert tuned["goal"] == "itself"
    assert tuned["epochs"][tuned["best"]]["validation_loss"] < 0.6 * tuned["epochs"][0]["validation_loss"]


def test_a_loss_that_leaves_the_numbers_ends_in_one_error(run: Run, tmp_path: Path) -> None:
    graph = OnnxGraph(4)
    model, data, out = tmp_path / "line.onnx", tmp_path / "far.npz", tmp_path / "tuned"
    model.write_bytes(graph.proto(graph.gemm(graph.input("x", 1, 4), 4, 2)).SerializeToString())
    np.savez(data, x=np.ones((20, 4), np.float32), y=np.full((20, 2), 1e30, np.float32))
    ended = run("model", "finetune", model, "--data", data, "--out", out)
    assert ended.status == 3
    assert "error[training.diverged]" in ended.err
    assert not out.exists()


def test_operators_that_training_does_not_know_are_named(run: Run, tmp_path: Path) -> None:
    graph = OnnxGraph(4)
    largest = graph.node("TopK", graph.gemm(graph.input("x", 1, 4), 4, 3), graph.constant([2], np.int64), outputs=2)
    model, data, out = tmp_path / "top.onnx", tmp_path / "data.npz", tmp_path / "tuned"
    model.write_bytes(graph.proto(largest).SerializeToString())
    np.savez(data, x=np.ones((20, 4), np.float32), y=np.ones((20, 2), np.float32))
    ended = run("model", "finetune", model, "--data", data, "--out", out)
    assert ended.status == 3
    assert "error[operator.unsupported]" in ended.err
    assert "(TopK)" in ended.err
    assert not out.exists()


def test_a_recipe_prunes_and_trains_over_the_calibration_set(run: Run, tmp_path: Path) -> None:
    model = write_classifier(tmp_path / "classifier.onnx")
    validation = write_validation(tmp_path / "validation.npz", model)
    np.savez(tmp_path / "calibration.npz", x=images(400, 5))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'version = 1\nscheme = "float"\nformat = "tflite"\nio = "float"\nio-layout = "source"\nseed = 0\n'
        "[compress.finetune]\nepochs = 3\nlearning-rate = 0.02\ndistill = 1.0\n"
    )
    digests = []
    for name in ("first", "second"):
        ended = run(
            *("model", "compile", model, "--target", "rpi4", "--recipe", recipe, "--out", tmp_path / name, "--json"),
            *("--calibration", tmp_path / "calibration.npz", "--validation", validation, "--max-drop", 0.2),
        )
        assert ended.status == 0, ended.err
        report: dict[str, Any] = ended.document["targets"][0]
        assert "fine-tune" in [entry["name"] for entry in report["passes"]]
        with Bundle(Path(report["bundle"]["path"])) as opened:
            lineage = opened.manifest.lineage
        assert "fine-tune" in lineage.passes
        assert {"keras", "numpy"} <= set(lineage.tools)
        assert "[compress.finetune]" in (tmp_path / name / "rpi4" / "recipe.toml").read_text()
        digests.append(report["artifact"]["sha256"])
    assert digests[0] == digests[1]


def _epochs_in(folder: Path) -> int:
    record = folder / "finetune.json"
    return len(json.loads(record.read_bytes())["epochs"]) if record.exists() else 0


def _wait_for(condition: Any) -> None:
    while not condition():  # pytest's own time limit ends what never comes
        time.sleep(0.02)


def _files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
