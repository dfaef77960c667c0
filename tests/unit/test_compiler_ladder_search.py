"""The search for a budget, on a real small model: each limit in turn, the nearest told, and the same bytes again."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import Outcome, compile_model
from edgefleet_compiler.progress import Silent
from support.model_files import images, write_calibration, write_validation
from support.onnx_graphs import OnnxGraph


def write_net(path: Path, *, widths: tuple[int, ...] = (16,)) -> Path:
    """Image (1, 1, 8, 8) to four probabilities, by convolutions whose channels are worth pruning."""
    graph = OnnxGraph(5)
    level, width = graph.input("image", 1, *images(1).shape[1:]), 1
    for place, wider in enumerate(widths, 1):
        step = 2 if place == len(widths) else 1
        kernel = graph.conv(level, (width, wider), (3, 3), pads=[1, 1, 1, 1], strides=[step, step])
        level, width = graph.node("Relu", kernel), wider
    logits = graph.gemm(graph.reshape(level, 1, width * 16), width * 16, 4)
    graph.node("Softmax", logits, axis=1, name="probabilities")
    path.write_bytes(graph.proto("probabilities").SerializeToString())
    return path


@pytest.fixture(scope="module")
def request_for(tmp_path_factory: pytest.TempPathFactory) -> CompileOptions:
    folder = tmp_path_factory.mktemp("search")
    model = write_net(folder / "model.onnx")
    return CompileOptions(
        model,
        ("rpi4",),
        folder / "out",
        calibration=write_calibration(folder / "c.npz", count=16),
        validation=write_validation(folder / "v.npz", model),
        max_drop=0.2,
    )


@pytest.fixture(scope="module")
def unlimited(request_for: CompileOptions) -> Outcome:
    return compiled(request_for)


@pytest.fixture(scope="module")
def small(request_for: CompileOptions, unlimited: Outcome) -> tuple[CompileOptions, Outcome]:
    """A flash limit that a part of the weights in 4 bits would keep, and less channels or ranks, too."""
    limited = replace(request_for, out=request_for.out / "small", max_flash=int(size(unlimited) * 0.8))
    return limited, compiled(limited)


def compiled(options: CompileOptions) -> Outcome:
    (outcome,) = compile_model(options, Silent())
    return outcome


def size(outcome: Outcome) -> int:
    assert outcome.report.artifact is not None
    return outcome.report.artifact.bytes


def test_a_limit_that_does_not_bind_changes_nothing(
    request_for: CompileOptions, unlimited: Outcome, tmp_path: Path
) -> None:
    roomy = compiled(replace(request_for, out=tmp_path, max_flash=size(unlimited), max_ram=2**30))
    assert [step.rung for step in roomy.report.rungs] == [step.rung for step in unlimited.report.rungs]
    assert (roomy.folder / "model.tflite").read_bytes() == (unlimited.folder / "model.tflite").read_bytes()


def test_where_flash_binds_the_best_that_fits_is_shipped(small: tuple[CompileOptions, Outcome]) -> None:
    limited, outcome = small
    assert limited.max_flash is not None
    assert outcome.report.verdict == "accepted"
    assert size(outcome) <= limited.max_flash
    outcomes = {step.rung: step.outcome for step in outcome.report.rungs}
    assert outcomes["int8"] == outcomes["int8-refined"] == "over budget"
    assert list(outcomes.values()).count("shipped") == 1
    assert any(name.startswith("4-bit weights") for name in outcomes)
    assert any(name.startswith("channels") for name in outcomes)


def test_the_recipe_that_the_search_wrote_gives_the_same_bytes_without_any_search(
    small: tuple[CompileOptions, Outcome], tmp_path: Path
) -> None:
    limited, outcome = small
    again = compiled(replace(limited, out=tmp_path, recipe=str(outcome.folder / "recipe.toml")))
    assert len(again.report.rungs) == 1
    for name in ("model.tflite", "recipe.toml", "model-0.1.0-rpi4.efb"):
        assert (again.folder / name).read_bytes() == (outcome.folder / name).read_bytes(), name


def test_a_search_comes_to_the_same_again(small: tuple[CompileOptions, Outcome], tmp_path: Path) -> None:
    limited, outcome = small
    again = compiled(replace(limited, out=tmp_path))
    assert again.report.rungs == outcome.report.rungs
    assert (again.folder / "model.tflite").read_bytes() == (outcome.folder / "model.tflite").read_bytes()


def test_where_memory_binds_channels_go_until_the_arena_fits(request_for: CompileOptions, tmp_path: Path) -> None:
    model = write_net(tmp_path / "model.onnx", widths=(8, 16))
    validation = write_validation(tmp_path / "v.npz", model)
    asked = replace(
        request_for, model=model, out=tmp_path / "out", targets=("nrf52840",), validation=validation, max_drop=0.9
    )
    arena = compiled(asked).report.peak_ram_bytes
    assert arena is not None
    limited = compiled(replace(asked, max_ram=int(arena * 0.85)))
    assert limited.report.verdict == "accepted"
    assert limited.report.peak_ram_bytes is not None
    assert limited.report.peak_ram_bytes <= arena * 0.85
    assert "[compress.prune" in (limited.folder / "recipe.toml").read_text()


def test_a_budget_that_nothing_keeps_is_refused_with_the_nearest_and_what_binds(
    request_for: CompileOptions, unlimited: Outcome, tmp_path: Path
) -> None:
    limit = int(size(unlimited) * 0.55)
    outcome = compiled(replace(request_for, out=tmp_path, max_flash=limit, max_drop=0.15))
    (refusal,) = outcome.refusals
    assert refusal.code == "budget.exceeded"
    assert refusal.facts["binds"] == ["accuracy"]
    assert "accuracy binds" in refusal.seen
    assert f"of {limit:,} bytes" in refusal.seen
    assert not list(outcome.folder.glob("*.efb"))
    named = re.match(r"A search with --max-flash (\d+) arrives", refusal.remedy)
    assert named
    made = [step.bytes for step in outcome.report.rungs if step.outcome == "over budget" and step.drop is not None]
    assert limit < int(named[1]) < size(unlimited)
    assert int(named[1]) in made
    arrived = compiled(replace(request_for, out=tmp_path, max_flash=int(named[1]), max_drop=0.15))
    assert arrived.report.verdict == "accepted"
    assert size(arrived) <= int(named[1])


def test_limits_that_no_recipe_comes_near_to_are_refused_with_what_each_means_comes_to(
    request_for: CompileOptions, tmp_path: Path
) -> None:
    outcome = compiled(replace(request_for, out=tmp_path, max_flash=100))
    (refusal,) = outcome.refusals
    assert refusal.facts["limits"] == ["flash"]
    reckoned = [step for step in outcome.report.rungs if step.sqnr_db is None]
    assert {step.outcome for step in reckoned} == {"over budget"}
    assert all("reckoned, not made" in step.why and "of 100 bytes" in step.why for step in reckoned)
    assert any(step.rung.startswith("4-bit") for step in reckoned)
