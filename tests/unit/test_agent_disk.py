"""The door to the disk: what it writes is there, and what it cannot write is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_agent.disk import Disk
from edgefleet_contract.errors import DiskFailed


def test_a_write_replaces_the_file_and_leaves_no_temporary(tmp_path: Path) -> None:
    Disk().write(tmp_path / "file", b"old")
    Disk().write(tmp_path / "file", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"new"}
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_appends_add_up(tmp_path: Path) -> None:
    Disk().append(tmp_path / "log", b"one")
    Disk().append(tmp_path / "log", b"two")
    assert (tmp_path / "log").read_bytes() == b"onetwo"
    Disk().truncate(tmp_path / "log", 4)
    assert (tmp_path / "log").read_bytes() == b"onet"


def test_blocks_go_to_their_offsets_in_any_order(tmp_path: Path) -> None:
    Disk().write_blocks(tmp_path / "part", [(4, b"dd"), (0, b"aa")])
    Disk().write_blocks(tmp_path / "part", [(2, b"bb")])
    assert (tmp_path / "part").read_bytes() == b"aabbdd"


def test_a_folder_is_removed_with_everything_below(tmp_path: Path) -> None:
    Disk().make_folder(tmp_path / "a" / "b")
    Disk().write_new(tmp_path / "a" / "b" / "file", [b"x", b"y"])
    Disk().remove(tmp_path / "a")
    Disk().remove(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_what_an_interrupted_removal_left_does_not_stop_the_next_one(tmp_path: Path) -> None:
    for name in ("slot", "slot.tmp"):
        Disk().make_folder(tmp_path / name)
        Disk().write_new(tmp_path / name / "file", [b"x"])
    Disk().remove(tmp_path / "slot")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(DiskFailed, match="No space left on device") as caught:
        Disk().append(Path("/dev/full"), b"x")
    assert caught.value.facts["errno"] == 28


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    Disk().write(tmp_path / "file", b"old")
    (tmp_path / "file.tmp").mkdir()
    with pytest.raises(DiskFailed):
        Disk().write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
