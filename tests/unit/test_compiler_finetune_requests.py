"""What fine-tuning refuses before TensorFlow is started, and what it makes of data and options."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefleet_compiler.compress.settings import Finetuning
from edgefleet_compiler.data import Normalisation, open_data_set
from edgefleet_compiler.finetune.child.cases import flipped_and_cropped, shuffled
from edgefleet_compiler.finetune.lessons import goal_of, lay_out
from edgefleet_compiler.finetune.messages import Epoch
from edgefleet_compiler.finetune.page import render
from edgefleet_compiler.finetune.record import Identity
from edgefleet_compiler.finetune.record import Run as TrainedRun
from edgefleet_compiler.finetune.schedule import learning_rate
from edgefleet_compiler.finetune.trainable import weights_of
from edgefleet_compiler.report.pictures.curve import draw_curve
from edgefleet_compiler.tensors import TensorInfo
from support.commands import Run, runner
from support.model_files import CLASSES, images, write_classifier
from support.onnx_graphs import OnnxGraph

IMAGE = TensorInfo("image", (1, 1, 8, 8), np.dtype(np.float32), "NCHW")
CHOICE = TensorInfo("probabilities", (1, CLASSES), np.dtype(np.float32))

DIGITS_INT8 = Path(__file__).resolve().parents[1] / "support" / "digits-int8.tflite"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("arrays", "code", "told"),
    [
        ({"x": images(8)}, "data.malformed", "--teacher MODEL"),
        ({"x": images(8), "y": np.full(8, CLASSES)}, "data.malformed", "is 4. Expected 0 to 3"),
        ({"x": images(8), "y": np.array([0, 1, -1, 2, 0, 1, 2, 3])}, "data.malformed", "The label of case 2"),
        ({"x": images(8), "y": np.zeros((8, 3), np.float32)}, "data.malformed", "one integer label a case"),
        ({"x": images(8)[:, 0], "y": np.zeros(8, np.int64)}, "data.malformed", "shape (8, 8, 8)"),
        ({"x": images(8) * np.nan, "y": np.zeros(8, np.int64)}, "data.malformed", "NaN or infinity in row"),
        ({"x": images(1), "y": np.zeros(1, np.int64)}, "data.malformed", "at least two"),
    ],
)
def test_data_that_nothing_can_be_learned_from_is_refused(
    run: Run, tmp_path: Path, arrays: dict[str, Any], code: str, told: str
) -> None:
    model = write_classifier(tmp_path / "model.onnx")
    data = saved(tmp_path / "data.npz", **arrays)
    ended = run("model", "finetune", model, "--data", data, "--out", tmp_path / "out")
    assert ended.status == 2
    assert f"error[{code}]" in ended.err
    assert told in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--distill", 0.5), "there is no teacher"),
        (("--prune", 0), "above 0 and below 1"),
        (("--prune", 1), "above 0 and below 1"),
        (("--epochs", 0), "epochs is 0"),
        (("--learning-rate", "nan"), "learning-rate is nan"),
        (("--temperature", 0), "temperature is 0"),
        (("--recipe", "fp16"), "int8, int16x8, weight-only"),
        (("--recipe", "auto"), "int8, int16x8, weight-only"),
        (("--out", ""), "--out is empty"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    run: Run, tmp_path: Path, options: tuple[object, ...], told: str
) -> None:
    model = write_classifier(tmp_path / "model.onnx")
    data = saved(tmp_path / "data.npz", x=images(8), y=np.zeros(8, np.int64))
    ended = run("model", "finetune", model, "--data", data, "--out", tmp_path / "out", *options)
    assert ended.status == 2
    assert told in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_a_source_that_is_quantised_already_is_refused(run: Run, tmp_path: Path, kind: str) -> None:
    model, graph = DIGITS_INT8, OnnxGraph()
    if kind == "onnx":
        model = tmp_path / "model.onnx"
        rounded = graph.pair(graph.gemm(graph.pair(graph.input("x", 1, 6), 0.1, 0), 6, 2), 0.1, 0)
        model.write_bytes(graph.proto(rounded).SerializeToString())
    ended = run("model", "finetune", model, "--data", tmp_path / "missing.npz", "--out", tmp_path / "out")
    assert ended.status == 3
    assert "error[recipe.unfit]" in ended.err
    assert "is quantised already" in ended.err
    assert "the float model" in ended.err
    assert not (tmp_path / "out").exists()


def test_a_teacher_of_another_task_is_refused(run: Run, tmp_path: Path) -> None:
    model, other = write_classifier(tmp_path / "model.onnx"), OnnxGraph()
    teacher = tmp_path / "teacher.onnx"
    teacher.write_bytes(other.proto(other.gemm(other.input("x", 1, 64), 64, CLASSES)).SerializeToString())
    data = saved(tmp_path / "data.npz", x=images(8))
    ended = run("model", "finetune", model, "--data", data, "--teacher", teacher, "--out", tmp_path / "out")
    assert ended.status == 2
    assert "The teacher" in ended.err
    assert "[1, 64]" in ended.err


def test_a_validation_set_without_the_labels_that_the_data_have_is_refused(run: Run, tmp_path: Path) -> None:
    model = write_classifier(tmp_path / "model.onnx")
    data = saved(tmp_path / "data.npz", x=images(8), y=np.zeros(8, np.int64))
    validation = saved(tmp_path / "validation.npz", x=images(8))
    ended = run("model", "finetune", model, "--data", data, "--validation", validation, "--out", tmp_path / "out")
    assert ended.status == 2
    assert "has no integer labels 'y'" in ended.err


def test_images_are_augmented_and_nothing_else(run: Run, tmp_path: Path) -> None:
    graph = OnnxGraph()
    model = tmp_path / "model.onnx"
    model.write_bytes(graph.proto(graph.gemm(graph.input("x", 1, 6), 6, 2)).SerializeToString())
    data = saved(tmp_path / "data.npz", x=np.ones((9, 6), np.float32), y=np.zeros(9, np.int64))
    ended = run("model", "finetune", model, "--data", data, "--augment", "flip-crop", "--out", tmp_path / "out")
    assert ended.status == 2
    assert "takes no images" in ended.err


def test_a_folder_of_other_files_stays_as_it_is(run: Run, tmp_path: Path) -> None:
    model, out = write_classifier(tmp_path / "model.onnx"), tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    data = saved(tmp_path / "data.npz", x=images(8), y=np.zeros(8, np.int64))
    ended = run("model", "finetune", model, "--data", data, "--out", out)
    assert ended.status == 2
    assert "error[output.unwritable]" in ended.err
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("made", ["", "a"])
def test_folders_that_were_there_stay_when_nothing_is_trained(run: Run, tmp_path: Path, made: str) -> None:
    there = tmp_path / "runs" / made
    there.mkdir(parents=True)
    data = saved(tmp_path / "data.npz", x=images(8) * np.nan, y=np.zeros(8, np.int64))
    model = write_classifier(tmp_path / "model.onnx")
    assert run("model", "finetune", model, "--data", data, "--out", tmp_path / "runs" / "a").status == 2
    assert there.is_dir()
    assert list(there.iterdir()) == []


def test_without_tensorflow_the_error_says_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorflow" else found(name))
    model = write_classifier(tmp_path / "model.onnx")
    data = saved(tmp_path / "data.npz", x=images(8), y=np.zeros(8, np.int64))
    ended = run("model", "finetune", model, "--data", data, "--out", tmp_path / "out")
    assert ended.status == 2
    assert "pip install 'edgefleet[tensorflow]'" in ended.err


@pytest.mark.parametrize(
    ("targets", "output", "taught", "goal"),
    [
        (np.array([0, 1, 2, 3]), CHOICE, False, "classes"),
        (np.array([0.5, 1.5, 2.0, 3.0], np.float32), TensorInfo("out", (1, 1), CHOICE.dtype), False, "values"),
        (np.array([0, 1, 1, 0]), TensorInfo("out", (1, 1), CHOICE.dtype), False, "classes"),
        (np.zeros((4, CLASSES), np.float32), CHOICE, False, "values"),
        (None, CHOICE, True, "teacher"),
        (None, TensorInfo("out", (1, 64), CHOICE.dtype), True, "itself"),
        (np.array([0, 1, 1, 0]), TensorInfo("out", (1, 64), CHOICE.dtype), False, "itself"),
    ],
)
def test_what_the_output_is_to_be_follows_from_the_data(
    tmp_path: Path, targets: np.ndarray | None, output: TensorInfo, taught: bool, goal: str
) -> None:
    arrays = {"x": images(4)} | ({} if targets is None else {"y": targets})
    data = open_data_set(saved(tmp_path / "data.npz", **arrays), [IMAGE], normalisation=Normalisation(), labels=())
    assert goal_of(data, [IMAGE], output, taught=taught) == goal


def test_a_tenth_is_held_out_where_there_is_no_validation_set(tmp_path: Path) -> None:
    cases = images(50)
    path = saved(tmp_path / "data.npz", x=cases, y=np.arange(50) % CLASSES)
    data = open_data_set(path, [IMAGE], normalisation=Normalisation(), labels=())
    lessons = lay_out(data, None, [IMAGE], "classes", seed=1, folder=tmp_path)
    assert (lessons.cases, lessons.held_out) == (45, 5)
    parts = [np.load(tmp_path / part / "0.npy") for part in ("training", "validation")]
    labels = [np.load(tmp_path / part / "targets.npy") for part in ("training", "validation")]
    order = [int(np.flatnonzero((cases == case).all(axis=(1, 2, 3)))[0]) for part in parts for case in part]
    assert sorted(order) == list(range(50))
    assert np.concatenate(labels).tolist() == [index % CLASSES for index in order]


def test_steps_rise_shortly_and_then_fall_to_nothing() -> None:
    rates = [learning_rate(step, 100, 0.02) for step in range(100)]
    assert max(rates) == pytest.approx(0.02)
    assert rates.index(max(rates)) <= 5
    assert rates[0] < 0.005
    assert rates[-1] < 0.0001
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_every_epoch_has_an_order_of_its_own_that_the_seed_decides() -> None:
    assert shuffled(40, 7, 1).tolist() == shuffled(40, 7, 1).tolist()
    assert sorted(shuffled(40, 7, 1)) == list(range(40))
    assert len({tuple(shuffled(40, seed, epoch)) for seed in (7, 8) for epoch in (1, 2)}) == 4


@pytest.mark.parametrize("axes", ["NHWC", "NCHW"])
def test_augmented_images_are_mirrored_and_shifted_ones(axes: str) -> None:
    last = np.arange(2 * 16 * 16 * 3, dtype=np.float32).reshape(2, 16, 16, 3)
    batch = last if axes == "NHWC" else np.moveaxis(last, -1, 1)
    moved = flipped_and_cropped(batch, axes, np.random.default_rng(0))
    assert moved.shape == batch.shape
    moved = moved if axes == "NHWC" else np.moveaxis(moved, 1, -1)
    for image, was in zip(moved, last, strict=True):
        bordered = np.pad(was, [(2, 2), (2, 2), (0, 0)], mode="reflect")
        shifts = [bordered[up : up + 16, left : left + 16] for up in range(5) for left in range(5)]
        candidates = [*shifts, *(shift[:, ::-1] for shift in shifts)]
        assert any(np.array_equal(image, candidate) for candidate in candidates)


def test_weights_biases_and_slopes_are_trained_and_bounds_are_not() -> None:
    graph = OnnxGraph()
    features = graph.node("PRelu", graph.conv(graph.input("x", 1, 2, 4, 4), (2, 3), (3, 3)), graph.weights(3, 1, 1))
    scaled = graph.clip(graph.node("Mul", features, graph.constant(2.0)), 0.0, 6.0)
    rows = graph.node(
        "Add", graph.node("MatMul", graph.reshape(scaled, 1, 3, 4), graph.weights(4, 5)), graph.weights(5)
    )
    weights = weights_of(graph.model(rows).graph)
    assert sorted(array.shape for array in weights.values()) == [(3,), (3, 1, 1), (3, 2, 3, 3), (4, 5), (5,)]


def test_a_curve_says_what_each_point_is() -> None:
    drawn = str(draw_curve("loss", [("trained", [(1, 0.5)]), ("held out", [(0, 1.0), (1, 0.25)])], best=1))
    assert "epoch 1: 0.25" in drawn
    assert 'aria-label="loss"' in drawn
    assert "<title>trained</title>" in drawn


@pytest.mark.parametrize(
    ("cases", "held_out", "told"),
    [
        (100, 50, []),
        (99, 50, ["Training has only 99 cases, which are soon known by heart."]),
        (100, 49, ["The epoch is chosen by only 49 cases held out, which show no small difference."]),
        (
            1,
            1,
            [
                "Training has only 1 case, which is soon known by heart.",
                "The epoch is chosen by only 1 case held out, which shows no small difference.",
            ],
        ),
    ],
)
def test_few_cases_are_warned_of_in_the_report(cases: int, held_out: int, told: list[str]) -> None:
    run = trained(cases, held_out)
    assert run.warnings == told
    page = render(run, "model.onnx")
    assert [line for line in told if line not in page] == []
    assert ('class="warn"' in page) == bool(told)


def trained(cases: int, held_out: int) -> TrainedRun:
    """The record of a run of one epoch."""
    identity = Identity(
        source="a",
        teacher=None,
        data="b",
        validation=None,
        normalisation=None,
        prune=None,
        quantiser=None,
        settings=Finetuning(),
        seed=0,
        versions={},
    )
    epochs = [
        Epoch(epoch=0, loss=None, validation_loss=1.0, validation_top1=None, learning_rate=0.0),
        Epoch(epoch=1, loss=0.5, validation_loss=0.6, validation_top1=None, learning_rate=0.1),
    ]
    return TrainedRun(
        identity=identity,
        pruning=None,
        goal="values",
        cases=cases,
        held_out=held_out,
        macs_source=9,
        macs=9,
        weights=3,
        epochs=epochs,
        best=1,
        finished=True,
    )
