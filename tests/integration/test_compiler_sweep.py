"""``edgefleet model sweep``: the same front whatever happens on the way to it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shlex
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.commands import Run, runner
from support.model_files import write_classifier
from support.sweeps import PATIENCE_S, SweepFiles, children_of, is_running, wait_for, write_sweep_files

POINTS = 4


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SweepFiles:
    return write_sweep_files(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def swept(files: SweepFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that nothing disturbed, by two workers."""
    out = tmp_path_factory.mktemp("swept") / "out"
    with files.start(out, POINTS, "--jobs", 2) as process:
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    return out


def results_of(out: Path) -> dict[str, bytes]:
    """Everything that a sweep writes and that is not timed."""
    names = [out / name for name in ("front.json", "front.csv", "candidates.csv")]
    return {str(path.relative_to(out)): path.read_bytes() for path in [*names, *out.glob("candidates/*/recipe.toml")]}


def front_of(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / "front.json").read_text())
    return document


def test_one_worker_finds_the_same_front_as_two(run: Run, files: SweepFiles, swept: Path, tmp_path: Path) -> None:
    ended = run(*files.options(tmp_path / "out", POINTS, "--jobs", 1, "--json"))
    assert ended.status == 0, ended.err
    assert results_of(tmp_path / "out") == results_of(swept)
    assert ended.document == {"folder": str(tmp_path / "out"), **front_of(swept)}


@pytest.mark.powercut
def test_a_sweep_that_is_killed_goes_on_where_it_was_and_its_workers_die_with_it(
    run: Run, files: SweepFiles, swept: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = out / "candidates" / "001" / "result.json"
    with files.start(out, POINTS, "--jobs", 1) as process:
        wait_for(first)
        workers = children_of(process.pid)
        process.kill()
    assert workers
    wait_for(lambda: not any(map(is_running, workers)))
    assert not (out / "front.json").exists()
    kept = first.stat().st_mtime_ns
    assert run(*files.options(out, POINTS, "--jobs", 1)).status == 0
    assert first.stat().st_mtime_ns == kept
    assert results_of(out) == results_of(swept)


def test_an_interrupt_ends_the_command_and_its_workers_at_once(files: SweepFiles, tmp_path: Path) -> None:
    with files.start(tmp_path / "out", POINTS, "--jobs", 2) as process:
        wait_for(lambda: len(children_of(process.pid)) == 2)
        workers = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, said) == (130, "", "interrupted\n")
    assert not list(tmp_path.glob("out/candidates/.*"))
    wait_for(lambda: not any(map(is_running, workers)))


def test_a_worker_that_dies_costs_its_candidate_and_the_next_start_makes_up_for_it(
    run: Run, files: SweepFiles, swept: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with files.start(out, POINTS, "--jobs", 1) as process:
        wait_for(lambda: children_of(process.pid))
        for worker in children_of(process.pid):
            os.kill(worker, signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert "candidate 001 (int8) failed: Its process ended with signal SIGKILL" in said
    with (out / "candidates.csv").open() as table:
        outcomes = [row["outcome"] for row in csv.DictReader(table)]
    assert (outcomes[0], len(outcomes)) == ("failed", POINTS)
    assert "failed" not in outcomes[1:]
    assert run(*files.options(out, POINTS)).status == 0
    assert results_of(out) == results_of(swept)


def test_more_points_go_on_from_fewer(run: Run, files: SweepFiles, swept: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(*files.options(out, 2)).status == 0
    assert run(*files.options(out, POINTS)).status == 0
    assert results_of(out) == results_of(swept)


def test_the_recipe_of_a_point_makes_its_artifact_again(run: Run, swept: Path, tmp_path: Path) -> None:
    page = (swept / "report.html").read_text()
    point = front_of(swept)["front"][0]
    command = next(line for line in page.splitlines() if f"candidates/{point['number']:03}/recipe.toml" in line)
    words = shlex.split(command.removeprefix("<p><code>").partition("</code>")[0])
    ended = run(*words[1 : words.index("--out")], "--out", tmp_path / "out", *words[words.index("--out") + 2 :])
    assert ended.status in (0, 3), ended.err
    artifact = tmp_path / "out" / "nrf52840" / "model.tflite"
    assert hashlib.sha256(artifact.read_bytes()).hexdigest() == point["figures"]["sha256"]
    assert (artifact.parent / "recipe.toml").read_bytes() == (swept / point["recipe"]).read_bytes()


def test_the_page_shows_three_pictures_and_runs_nothing(swept: Path) -> None:
    page = (swept / "report.html").read_text()
    assert page.count("<svg") == 3
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_the_folder_of_another_model_is_left_alone(run: Run, files: SweepFiles, swept: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in swept.rglob("*")}
    other = SweepFiles(write_classifier(tmp_path / "other.onnx", seed=9), files.calibration, files.validation)
    ended = run(*other.options(swept, POINTS))
    assert ended.status == 2
    assert "error[sweep.folder_unfit]" in ended.err
    assert "holds another sweep: another model. Expected" in ended.err
    ended = run(*files.options(swept, POINTS, "--seed", 7))
    assert ended.status == 2
    assert "another seed (0, not 7)" in ended.err
    assert {path: path.stat().st_mtime_ns for path in swept.rglob("*")} == before


def test_a_folder_of_something_else_is_left_alone(run: Run, files: SweepFiles, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    ended = run(*files.options(tmp_path / "out", POINTS))
    assert (ended.status, [path.name for path in (tmp_path / "out").iterdir()]) == (2, ["notes.txt"])
    assert "error[sweep.folder_unfit]" in ended.err


def test_bad_data_ends_a_sweep_before_anything_is_written(run: Run, files: SweepFiles, tmp_path: Path) -> None:
    ended = run(*files.options(tmp_path / "out", POINTS, "--metric", "auc"))
    assert ended.status == 2
    assert not (tmp_path / "out").exists()


def test_a_case_that_only_workers_reach_ends_a_sweep_with_one_error(
    run: Run, files: SweepFiles, tmp_path: Path
) -> None:
    with np.load(files.validation) as data:
        arrays = dict(data)
    arrays["x"][70] = np.nan
    np.savez(tmp_path / "spoiled.npz", **arrays)
    spoiled = SweepFiles(files.model, files.calibration, tmp_path / "spoiled.npz")
    ended = run(*spoiled.options(tmp_path / "out", POINTS, "--jobs", 2))
    assert ended.status == 2
    assert ended.err.count("error[data.malformed]") == 1
    assert "spoiled.npz" in ended.err
    assert not (tmp_path / "out" / "front.json").exists()


def test_a_source_that_is_quantised_leaves_nothing_to_choose(run: Run, files: SweepFiles, tmp_path: Path) -> None:
    quantised = Path(__file__).resolve().parents[1] / "support" / "digits-int8.tflite"
    ended = run("model", "sweep", quantised, "--target", "nrf52840", "--out", tmp_path / "out")
    assert ended.status == 3
    assert "error[recipe.unfit]" in ended.err
    assert "quantised already" in ended.err
