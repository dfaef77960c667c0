"""SIGKILL at every operation of the disk door and every step of the state table of one update, then a restart."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import agent_cut
from support.agent_runs import AgentRun
from support.agent_world import World, build_world, check_bootable, check_updated, update

pytestmark = pytest.mark.powercut

# Pinned: an update that does more or fewer durable operations than these is another update, and its cuts are others.
DISK_OPERATIONS = 31
TABLE_STEPS = 7


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("world"))


def run_cut(world: World, kind: str, number: int) -> subprocess.CompletedProcess[str]:
    """Run an update in a process that kills itself at the chosen point."""
    arguments = [world.root, world.device, world.before, world.after, kind, number]
    return subprocess.run(
        [sys.executable, agent_cut.__file__, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("kind", "expected"), [("disk", DISK_OPERATIONS), ("step", TABLE_STEPS)])
def test_an_update_does_as_many_operations_as_are_cut(world: World, tmp_path: Path, kind: str, expected: int) -> None:
    copy = world.copy_to(tmp_path / "copy")
    done = run_cut(copy, kind, 0)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == expected
    check_updated(copy)


def test_a_trial_that_takes_the_device_down_is_given_up(world: World, tmp_path: Path) -> None:
    copy = world.copy_to(tmp_path / "copy")
    trial_ends = TABLE_STEPS - 1  # the last step is the observation in probation
    for number in (trial_ends, 2, 2):  # after a restart the first step is the start, the second the end of the trial
        assert run_cut(copy, "step", number).returncode == -signal.SIGKILL
    with AgentRun(copy.folder, copy.side()) as run:
        report = run.settle()
    assert (report.state, report.running) == ("reverted", copy.before)
    assert report.error is not None
    assert "cut off 3 times" in report.error.text


@pytest.mark.parametrize(("kind", "count"), [("disk", DISK_OPERATIONS), ("step", TABLE_STEPS)])
def test_a_kill_at_any_operation_ends_confirmed_on_the_right_version(
    world: World, tmp_path: Path, kind: str, count: int
) -> None:
    def cut_and_restart(number: int) -> None:
        copy = world.copy_to(tmp_path / str(number))
        cut = run_cut(copy, kind, number)
        assert cut.returncode == -signal.SIGKILL, (number, cut.stderr)
        check_bootable(copy)
        update(copy)
        check_updated(copy)

    with ThreadPoolExecutor(2) as pool:
        for number, outcome in [(n, pool.submit(cut_and_restart, n)) for n in range(1, count + 1)]:
            error = outcome.exception()
            assert error is None, f"cut at {kind} operation {number}: {error!r}"
