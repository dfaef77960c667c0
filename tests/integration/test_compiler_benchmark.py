"""``edgefleet model benchmark``: on this host, and in the emulated Raspberry Pi."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgefleet_hardware.pi.boards import BOARDS
from support.commands import Run, runner
from support.emulated_pi import FOLDER, built_pi
from support.model_files import write_calibration, write_classifier
from support.onnx_graphs import OnnxGraph

pytestmark = pytest.mark.integration

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
VECTOR_CLASSES = ("dot", "int_mlal", "float_mla", "simd_other")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def pi(monkeypatch: pytest.MonkeyPatch) -> None:
    built_pi()
    monkeypatch.setenv("EDGEFLEET_PI", str(FOLDER))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits in int8: ``rpi4`` as TFLite, ``x86-64`` as ONNX."""
    from edgefleet.main import main

    folder = tmp_path_factory.mktemp("compiled")
    source = shutil.copy(DIGITS / "digits.onnx", folder / "digits.onnx")
    calibration = ("--calibration", str(DIGITS / "calibration.npz"))
    arguments = ["model", "compile", str(source), "-t", "rpi4", "-t", "x86-64", "--recipe", "int8", *calibration]
    assert main([*arguments, "--out", str(folder / "out")]) == 0
    return folder / "out"


def in_pi(run: Run, artifact: Path, board: str, *options: object) -> dict[str, Any]:
    ended = run("model", "benchmark", artifact, "--on", f"pi:{board}", "--json", *options)
    assert ended.status == 0, ended.err
    return ended.document


@pytest.mark.usefixtures("pi")
@pytest.mark.parametrize("target", ["rpi4", "x86-64"])
def test_int8_computes_on_every_pi_what_it_computes_here_and_dot_products_are_the_pi_5s(
    run: Run, compiled: Path, target: str
) -> None:
    for board in ("rpi3", "rpi4", "rpi5"):
        result = in_pi(run, compiled / target, board, "--runs", 1)
        assert result["outputs"]["verdict"] == "equal", board
        assert result["baseline_outputs"]["verdict"] in {"equal", "close"}, board
        assert (result["instructions"]["dot"] > 0) == (board == "rpi5")
        assert result["instructions"]["int_mlal"] > 0
        assert result["instructions"]["float_mla"] < result["baseline_instructions"]["float_mla"] / 10
        assert result["on"] == f"pi:{board}"


@pytest.mark.usefixtures("pi")
def test_counts_repeat(run: Run, compiled: Path) -> None:
    first, second = (in_pi(run, compiled / "rpi4", "rpi4")["instructions"] for _ in range(2))
    for name in VECTOR_CLASSES:
        assert abs(first[name] - second[name]) <= 1, name
    assert first["total"] == pytest.approx(second["total"], rel=1e-3)
    assert first["total"] == sum(first[name] for name in first if name != "total")


@pytest.mark.usefixtures("pi")
def test_counts_in_a_pi_are_told_against_the_float_model_and_per_operator_and_never_as_time(
    run: Run, compiled: Path
) -> None:
    ended = run("model", "benchmark", compiled / "rpi4", "--on", "pi:rpi5", "--json")
    result = ended.document
    assert result["baseline"]["converted"]  # the source is ONNX, the artifact TFLite
    assert result["ratio"] == result["instructions"]["total"] / result["baseline_instructions"]["total"]
    convolutions = [node for node in result["nodes"] if node["kind"] in {"CONV_2D", "DEPTHWISE_CONV_2D"}]
    assert [node["source"] for node in convolutions] == [
        "Conv__22", "functional_1/depthwise_conv2d_1/depthwise", "Conv__31", "Conv__34",
    ]  # fmt: skip
    assert sum(node["share"] for node in result["nodes"]) == pytest.approx(1)
    summed = {name: sum(node["instructions"][name] for node in result["nodes"]) for name in ("dot", "total")}
    assert summed["dot"] == result["instructions"]["dot"]  # an operator alone gets the kernel that it gets in its model
    assert summed["total"] == pytest.approx(
        result["instructions"]["total"], rel=0.25
    )  # a tiny model: calling it is a tenth
    assert "_ms" not in ended.out
    assert "seconds" not in ended.out


@pytest.mark.usefixtures("pi")
def test_a_bundle_is_counted_without_a_float_model_unless_one_is_given(run: Run, compiled: Path) -> None:
    (bundle,) = (compiled / "x86-64").glob("*.efb")
    alone = in_pi(run, bundle, "rpi-zero2", "--runs", 1)
    assert alone["baseline"] is None
    assert alone["ratio"] is None
    assert alone["nodes"] == []
    against = ("--against", DIGITS / "digits.onnx")
    shown = run("model", "benchmark", bundle, "--on", "pi:rpi-zero2", "--runs", 1, *against).out
    assert "equal to this host's in every value" in shown
    assert f"{alone['instructions']['int_mlal']:,}" in shown
    assert "float model" in shown
    assert " ms" not in shown


@pytest.mark.usefixtures("pi")
def test_compiling_for_a_pi_counts_instructions_if_the_setting_asks_for_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEFLEET_PI_EVIDENCE", "1")
    options = (
        "--recipe",
        "int8",
        "--calibration",
        DIGITS / "calibration.npz",
        "--format",
        "onnx",
        "--out",
        tmp_path / "out",
        "--json",
    )
    ended = run("model", "compile", DIGITS / "digits.onnx", "-t", "rpi4", "-t", "x86-64", *options)
    of_pi, of_host = ended.document["targets"]
    assert of_host["instructions"] is None
    assert of_pi["latency"] is None
    assert of_pi["instructions"]["where"] == "pi:rpi4"
    assert of_pi["instructions"]["total"] > of_pi["instructions"]["baseline_total"] > 0
    assert any("takes more instructions than float" in warning for warning in of_pi["warnings"])
    assert "Instructions, pi:rpi4" in (tmp_path / "out" / "rpi4" / "report.html").read_text()


def test_compiling_with_evidence_that_cannot_be_had_writes_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEFLEET_PI_EVIDENCE", "1")
    ended = run("model", "compile", DIGITS / "digits.onnx", "-t", "x86-64", "-t", "rpi4", "--out", tmp_path / "out")
    assert ended.status == 5
    assert "python -m edgefleet_hardware.pi" in ended.err
    assert not (tmp_path / "out").exists()


def test_a_pi_that_is_not_built_is_told_with_the_command_that_builds_it(run: Run, compiled: Path) -> None:
    ended = run("model", "benchmark", compiled / "rpi4", "--on", "pi:rpi4", "--json")
    assert ended.status == 5
    assert ended.document["error"]["code"] == "emulator.unavailable"
    assert "python -m edgefleet_hardware.pi" in ended.document["error"]["remedy"]


@pytest.mark.parametrize("place", ["qemu:mps2-an385", "pi:rpi2-armv7", "rpi4", "pi:", ""])
def test_another_place_is_refused_with_those_that_can_be_chosen(run: Run, compiled: Path, place: str) -> None:
    ended = run("model", "benchmark", compiled / "rpi4", "--on", place)
    assert ended.status == 2
    assert f"--on is {place!r}" in ended.err
    assert all(f"pi:{name}" in ended.err for name in BOARDS)


def test_threads_in_a_pi_are_refused_as_they_cannot_be_counted(run: Run, compiled: Path) -> None:
    ended = run("model", "benchmark", compiled / "rpi4", "--on", "pi:rpi4", "--threads", 2)
    assert ended.status == 2
    assert "--threads is 2" in ended.err


@pytest.mark.parametrize(("target", "method"), [("rpi4", "operators alone"), ("x86-64", "runtime profile")])
def test_the_host_is_timed_against_the_recorded_source_node_by_node(
    run: Run, compiled: Path, target: str, method: str
) -> None:
    ended = run("model", "benchmark", compiled / target, "--runs", 25, "--json")
    result = ended.document
    latency, memory = result["latency"], result["memory"]
    assert ended.status == 0
    assert latency["runs"] == 25
    assert latency["ratio"] == latency["artifact"]["median_ms"] / latency["baseline"]["median_ms"]
    assert latency["ratio_ci95"][0] <= latency["ratio"] <= latency["ratio_ci95"][1]
    assert latency["artifact"]["p10_ms"] <= latency["artifact"]["median_ms"]
    assert 0 < memory["before_load"] <= memory["after_load"] <= memory["peak"]
    assert memory["after_first_inference"] <= memory["peak"]
    assert result["nodes_by"] == method
    sources = [node["source"] for node in result["nodes"]]
    assert {"Conv__22", "functional_1/depthwise_conv2d_1/depthwise", "Conv__31", "Conv__34"} <= set(sources)
    assert sum(node["share"] for node in result["nodes"]) == pytest.approx(1)


def test_the_host_is_shown_in_tables(run: Run, compiled: Path) -> None:
    ended = run("model", "benchmark", compiled / "x86-64", "--runs", 5, "--threads", 2)
    assert ended.status == 0
    assert "2 threads" in ended.out
    assert "of the float model's time" in ended.out
    assert "QLinearConv" in ended.out


def test_a_plain_file_is_timed_under_its_own_node_names(run: Run) -> None:
    result = run("model", "benchmark", DIGITS / "digits.onnx", "--runs", 5, "--json").document
    assert result["baseline"] is None
    assert result["latency"]["ratio"] is None
    assert "functional_1/probabilities_1/Softmax" in {node["source"] for node in result["nodes"]}


def test_a_source_that_changed_is_not_taken_for_the_float_model(run: Run, tmp_path: Path) -> None:
    model = write_classifier(tmp_path / "model.onnx")
    data = write_calibration(tmp_path / "data.npz")
    assert run("model", "compile", model, "-t", "x86-64", "--calibration", data, "--out", tmp_path / "out").status == 0
    write_classifier(model, seed=4)
    changed = run("model", "benchmark", tmp_path / "out" / "x86-64", "--runs", 1, "--json")
    assert changed.document["baseline"] is None
    assert "has changed since" in changed.err
    model.unlink()
    gone = run("model", "benchmark", tmp_path / "out" / "x86-64", "--runs", 1, "--json")
    assert gone.document["baseline"] is None
    assert "Give one with --against" in gone.err


def test_a_float_model_of_another_task_is_refused(run: Run, compiled: Path, tmp_path: Path) -> None:
    other = write_classifier(tmp_path / "other.onnx")
    ended = run("model", "benchmark", compiled / "x86-64", "--against", other)
    assert ended.status == 2
    assert str(other) in ended.err
    assert "takes and gives the same" in ended.err


def test_the_memory_of_a_model_is_told_without_that_of_the_runtime(run: Run, tmp_path: Path) -> None:
    """Weights of 16 MiB: they are in the file's buffer, and packed for the kernels."""
    graph = OnnxGraph()
    x = graph.input("x", 1, 2048)
    graph.node("Sigmoid", graph.gemm(x, 2048, 2048), name="y")
    model = tmp_path / "wide.onnx"
    model.write_bytes(graph.proto("y").SerializeToString())
    memory = run("model", "benchmark", model, "--runs", 1, "--json").document["memory"]
    assert 16 << 20 <= memory["peak"] - memory["before_load"] <= 64 << 20


def test_a_folder_of_several_targets_is_refused_with_their_folders(run: Run, compiled: Path) -> None:
    ended = run("model", "benchmark", compiled)
    assert ended.status == 2
    assert str(compiled / "rpi4") in ended.err


def test_a_folder_without_an_artifact_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"source": {"path": "m.onnx"}, "artifact": None}))
    assert "its compilation was refused" in run("model", "benchmark", tmp_path).err
    (tmp_path / "report.json").write_text("{")
    assert "cannot be read" in run("model", "benchmark", tmp_path).err


@pytest.mark.shared
@pytest.mark.usefixtures("pi")
def test_the_kernels_of_each_pi_are_those_seen_on_visual_wake_words(run: Run) -> None:
    """Multiplications by class, as another root and another reading of the marks gave them."""
    models = Path(__file__).resolve().parents[3] / "shared" / "models"
    seen = {}
    for board in ("rpi3", "rpi4", "rpi5"):
        result = in_pi(run, models / "vww_96_int8.tflite", board, "--runs", 1)
        assert result["outputs"]["verdict"] == "equal"
        seen[board] = (result["instructions"]["int_mlal"], result["instructions"]["dot"])
    assert seen == {"rpi3": (1_971_664, 0), "rpi4": (1_052_368, 0), "rpi5": (99_792, 488_704)}
