"""The folder of a sweep: what is known survives, what is not whole is found out anew, and nobody works there twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from edgefleet_compiler.sweep.asked import Asked, differences
from edgefleet_compiler.sweep.folder import sweep_folder
from edgefleet_compiler.sweep.record import Candidate, Evaluation, Idea
from edgefleet_contract.errors import DataFolderInUse, OutputUnwritable, SweepFolderUnfit

ASKED = Asked(
    source_sha256="a" * 64,
    target="nrf52840",
    profile_sha256="b" * 64,
    calibration_sha256=None,
    validation_sha256=None,
    options={},
    seed=0,
    tools={"numpy": "2"},
)
IDEA = Idea(rung="int8", prune=0.25)
MEASURED = Candidate(
    number=7, idea=IDEA, evaluation=Evaluation(outcome="measured", recipe='scheme = "int8"\n', seconds=1.5)
)


def test_what_was_kept_is_known_at_the_next_start(tmp_path: Path) -> None:
    with sweep_folder(tmp_path / "out", ASKED) as folder:
        assert folder.known(7, IDEA) is None
        folder.keep(MEASURED)
    assert (tmp_path / "out" / "candidates" / "007" / "recipe.toml").read_text() == MEASURED.evaluation.recipe
    with sweep_folder(tmp_path / "out", ASKED) as folder:
        assert folder.known(7, IDEA) == MEASURED
        assert folder.known(7, Idea(rung="int8")) is None  # another idea has this number now
        assert folder.known(8, IDEA) is None


def test_a_failure_is_kept_for_people_and_tried_again(tmp_path: Path) -> None:
    failed = replace(MEASURED, evaluation=Evaluation(outcome="failed", why="signal SIGKILL"))
    with sweep_folder(tmp_path / "out", ASKED) as folder:
        folder.keep(failed)
        assert folder.known(7, IDEA) is None
        folder.keep(MEASURED)
        assert folder.known(7, IDEA) == MEASURED


@pytest.mark.parametrize("spoil", ["result.json", "recipe.toml"])
def test_a_result_that_is_not_whole_is_none(tmp_path: Path, spoil: str) -> None:
    with sweep_folder(tmp_path / "out", ASKED) as folder:
        folder.keep(MEASURED)
        path = tmp_path / "out" / "candidates" / "007" / spoil
        path.write_bytes(path.read_bytes()[:9]) if spoil == "result.json" else path.unlink()
        assert folder.known(7, IDEA) is None


def test_what_cannot_be_written_whole_is_not_left_in_part(tmp_path: Path) -> None:
    spoiled = replace(MEASURED, evaluation=replace(MEASURED.evaluation, recipe="\ud800"))
    with sweep_folder(tmp_path / "out", ASKED) as folder:
        with pytest.raises(UnicodeEncodeError):
            folder.keep(spoiled)
        assert list((tmp_path / "out" / "candidates").iterdir()) == []


@pytest.mark.powercut
def test_what_a_killed_sweep_was_writing_is_cleared_away(tmp_path: Path) -> None:
    with sweep_folder(tmp_path / "out", ASKED) as folder:
        folder.keep(MEASURED)
    half = tmp_path / "out" / "candidates" / ".abc"
    half.mkdir()
    (half / "result.json").write_text("{")
    with sweep_folder(tmp_path / "out", ASKED) as folder:
        assert not half.exists()
        assert folder.known(7, IDEA) == MEASURED


@pytest.mark.powercut
def test_a_sweep_that_was_killed_before_it_began_begins(tmp_path: Path) -> None:
    (tmp_path / ".sweep.json.fresh").write_text("{")
    with sweep_folder(tmp_path, ASKED):
        assert (tmp_path / "sweep.json").exists()


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"source_sha256": "c" * 64}, "another model"),
        ({"target": "rpi4", "profile_sha256": "c" * 64}, "another target (nrf52840, not rpi4)"),
        ({"profile_sha256": "c" * 64}, "another profile of the target nrf52840"),
        ({"calibration_sha256": "c" * 64}, "one without calibration set"),
        ({"options": {"max-drop": "0.02"}}, "another --max-drop (none, not 0.02)"),
        ({"options": {"normalisation": "Normalisation(...)"}}, "another --normalisation"),
        ({"seed": 7}, "another seed (0, not 7)"),
        ({"source_sha256": "c" * 64, "validation_sha256": "d" * 64}, "another model, one without validation set"),
    ],
)
def test_requests_differ_in_words(other: dict[str, Any], told: str) -> None:
    assert differences(ASKED, replace(ASKED, **other)) == told


def test_data_that_are_left_out_or_replaced_are_told_apart() -> None:
    earlier = replace(ASKED, calibration_sha256="c" * 64)
    assert differences(earlier, ASKED) == "one with a calibration set"
    assert differences(earlier, replace(ASKED, calibration_sha256="d" * 64)) == "another calibration set"


def test_another_request_is_told_what_differs(tmp_path: Path) -> None:
    with sweep_folder(tmp_path, ASKED):
        pass
    with (
        pytest.raises(SweepFolderUnfit, match=r"another version of numpy \(2, not 3\)"),
        sweep_folder(tmp_path, replace(ASKED, tools={"numpy": "3"})),
    ):
        pass


def test_two_sweeps_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with (
        sweep_folder(tmp_path, ASKED),
        pytest.raises(DataFolderInUse, match="at work"),
        sweep_folder(tmp_path, ASKED),
    ):
        pass
    with sweep_folder(tmp_path, ASKED):
        pass


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputUnwritable, match="is a file"), sweep_folder(tmp_path / "out", ASKED):
        pass
