"""Downloads: blocks in any order, once or more, over restarts; complete only when the hash says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_agent.disk import Disk
from edgefleet_agent.download import Downloads
from edgefleet_agent.fetch import Fetcher
from edgefleet_contract import blocks, canonical
from edgefleet_contract.blocks import BLOCK_BYTES, WINDOW, Block
from edgefleet_contract.errors import HashMismatch
from edgefleet_contract.trust import FileReference
from support.agent_runs import TurnedClock


def contents(count: int) -> bytes:
    """Bytes that make ``count`` blocks, the last one short."""
    return b"".join(bytes([index % 251]) * BLOCK_BYTES for index in range(count))[:-100]


def reference(data: bytes) -> FileReference:
    return FileReference(canonical.sha256(data), len(data))


def block(data: bytes, index: int) -> Block:
    return Block(canonical.sha256(data), index, len(data), data[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES])


class Asked(list[tuple[str, list[int]]]):
    """What a fetcher asked for."""

    def __call__(self, sha256: str, wanted: list[int]) -> None:
        self.append((sha256, wanted))


def test_a_file_becomes_whole_in_any_order(tmp_path: Path) -> None:
    data = contents(5)
    download = Downloads(tmp_path, Disk()).begin(reference(data))
    for index in (4, 0, 2, 1, 3):
        assert download.take(block(data, index))
    assert download.is_complete
    assert download.finish().read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == [reference(data).sha256]


def test_foreign_duplicate_and_late_blocks_change_nothing(tmp_path: Path) -> None:
    data, other = contents(3), contents(4)
    download = Downloads(tmp_path, Disk()).begin(reference(data))
    assert download.take(block(data, 1))
    assert not download.take(block(data, 1))
    assert not download.take(block(other, 0))
    assert not download.take(Block(reference(data).sha256, 0, len(other), other[:BLOCK_BYTES]))
    assert download.missing(9) == [0, 2]


def test_a_restart_goes_on_with_what_was_flushed(tmp_path: Path) -> None:
    data = contents(20)
    first = Downloads(tmp_path, Disk()).begin(reference(data))
    for index in range(11):
        first.take(block(data, index))
    second = Downloads(tmp_path, Disk()).begin(reference(data))
    assert second.missing(99) == list(range(8, 20)), "the last three were in no full batch yet"


def test_a_torn_entry_of_the_map_does_not_count_and_does_not_hide_later_ones(tmp_path: Path) -> None:
    data = contents(20)
    first = Downloads(tmp_path, Disk()).begin(reference(data))
    for index in range(8):
        first.take(block(data, index))
    with (tmp_path / f"{reference(data).sha256}.map").open("ab") as file:
        file.write(b"\0\0\0\x09\x12")
    second = Downloads(tmp_path, Disk()).begin(reference(data))
    assert second.missing(99) == list(range(8, 20))
    for index in range(8, 16):
        second.take(block(data, index))
    assert Downloads(tmp_path, Disk()).begin(reference(data)).missing(99) == list(range(16, 20))


def test_blocks_that_make_another_file_are_forgotten(tmp_path: Path) -> None:
    data = contents(2)
    download = Downloads(tmp_path, Disk()).begin(reference(data))
    download.take(block(data, 0))
    wrong = block(data, 1)
    download.take(Block(wrong.sha256, 1, wrong.total_bytes, b"x" * len(wrong.data)))
    with pytest.raises(HashMismatch):
        download.finish()
    assert download.missing(9) == [0, 1]
    assert Downloads(tmp_path, Disk()).finished(reference(data)) is None


def test_an_empty_file_needs_no_block(tmp_path: Path) -> None:
    asked = Asked()
    assert Fetcher(Downloads(tmp_path, Disk()), asked, TurnedClock()).begin([reference(b"")])
    assert asked == []


def test_no_more_is_asked_for_than_the_window_and_all_of_it_once(tmp_path: Path) -> None:
    data, asked = contents(50), Asked()
    fetcher = Fetcher(Downloads(tmp_path, Disk()), asked, TurnedClock())
    assert not fetcher.begin([reference(data)])
    outstanding: set[int] = set()
    answered = 0
    complete = False
    while not complete:
        for _, wanted in asked[answered:]:
            outstanding |= set(wanted)
        answered = len(asked)
        assert len(outstanding) <= WINDOW
        index = outstanding.pop()
        complete = fetcher.take(block(data, index))
    assert sorted(index for _, wanted in asked for index in wanted) == list(range(50))


def test_blocks_that_do_not_come_are_asked_for_again(tmp_path: Path) -> None:
    data, asked, clock = contents(3), Asked(), TurnedClock()
    fetcher = Fetcher(Downloads(tmp_path, Disk()), asked, clock)
    fetcher.begin([reference(data)])
    fetcher.take(block(data, 1))
    fetcher.tick()
    assert len(asked) == 1, "the rest is still on its way"
    clock.ahead_s += 4
    fetcher.tick()
    assert asked[-1] == (reference(data).sha256, [0, 2])


def test_a_file_that_always_comes_wrong_is_given_up(tmp_path: Path) -> None:
    data, asked = contents(1), Asked()
    fetcher = Fetcher(Downloads(tmp_path, Disk()), asked, TurnedClock())
    fetcher.begin([reference(data)])
    wrong = Block(reference(data).sha256, 0, len(data), b"x" * len(data))
    assert not fetcher.take(wrong)
    assert not fetcher.take(wrong)
    with pytest.raises(HashMismatch):
        fetcher.take(wrong)
    assert len(asked) == 3


def test_files_of_other_assignments_make_room(tmp_path: Path) -> None:
    old, new = contents(2), contents(3)
    downloads = Downloads(tmp_path, Disk())
    downloads.begin(reference(old)).take(block(old, 0))
    Fetcher(downloads, Asked(), TurnedClock()).begin([reference(new)])
    assert all(path.name.startswith(reference(new).sha256) for path in tmp_path.iterdir())
    assert blocks.block_count(len(new)) == 3
