"""Power cuts at every instant of one update: bytes and names that were not synced are kept, lost or torn."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from unittest import mock

import pytest

from edgefleet_agent.disk import Disk
from edgefleet_contract.errors import EdgefleetError
from edgefleet_contract.topics import Topic
from support.agent_runs import AgentRun
from support.agent_world import World, build_world, check_bootable, check_updated, update
from support.disk_trace import Trace, lay_out, traced

pytestmark = pytest.mark.powercut

RECOVERIES = 24  # remainders, evenly spread over the update, from which the whole update is run to its end


def trace_update(world: World, spoil: AbstractContextManager[object] | None = None) -> Trace:
    """Run the update, marking what the server is told as it is told."""
    with traced(world.folder.root) as trace, spoil or nullcontext():
        side = world.side()
        answer = side.answer

        def marking(topic: Topic, payload: bytes) -> list[tuple[Topic, bytes]]:
            replies = answer(topic, payload)
            if side.reports and side.reports[-1].sequence == 2:
                trace.mark(side.reports[-1].state)
            return replies

        side.answer = marking
        with AgentRun(world.folder, side) as run:
            run.until(lambda report: report.sequence == 2 and len(report.evidence) == 2)
    return trace


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def trace(world: World, tmp_path_factory: pytest.TempPathFactory) -> Trace:
    copy = world.copy_to(tmp_path_factory.mktemp("traced") / "copy")
    done = trace_update(copy)
    check_updated(copy)
    return done


def after_cut(world: World, root: Path, tree: dict[str, bytes | None]) -> World:
    """The world with the device's folder as a power cut left it."""
    root.mkdir()
    lay_out(tree, root / "data")
    for name in ("files", "desired.json", "assignment.pem"):
        (root / name).symlink_to(world.root / name)
    return World(root, world.device, world.before, world.after)


def check_remainders(world: World, trace: Trace, root: Path) -> int:
    """Assert of every remainder that it can serve, and has what the server was told; how many there are."""
    count = 0
    for tree, told in trace.trees():
        cut = after_cut(world, root / "cut", tree)
        record, _ = check_bootable(cut)
        if told:
            assert record.sequence == 2
        if "confirmed" in told:
            assert (record.state, record.running_digest) == ("confirmed", world.after)
        shutil.rmtree(cut.root)
        count += 1
    return count


def test_whatever_a_power_cut_leaves_can_serve_and_keeps_what_was_told(
    world: World, trace: Trace, tmp_path: Path
) -> None:
    assert check_remainders(world, trace, tmp_path) > 60


def test_the_update_ends_after_any_power_cut(world: World, trace: Trace, tmp_path: Path) -> None:
    trees = list(trace.trees())
    for number in range(RECOVERIES):
        tree, _ = trees[number * len(trees) // RECOVERIES]
        cut = after_cut(world, tmp_path / str(number), tree)
        update(cut)
        check_updated(cut)


def write_in_place(_: Disk, path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(file, data)
    os.fsync(file)
    os.close(file)


SPOILT = {
    "syncs nothing": lambda: mock.patch.object(os, "fsync", return_value=None),
    "does not sync folders": lambda: mock.patch("edgefleet_agent.disk._sync_folder", return_value=None),
    "writes in place": lambda: mock.patch.object(Disk, "write", write_in_place),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_door_is_found_out_that(world: World, tmp_path: Path, how: str) -> None:
    copy = world.copy_to(tmp_path / "copy")
    spoilt = trace_update(copy, SPOILT[how]())
    with pytest.raises((AssertionError, EdgefleetError)):
        check_remainders(world, spoilt, tmp_path)
