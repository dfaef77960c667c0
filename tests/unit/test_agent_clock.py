"""What time a device believes: witnesses that lag, run ahead, contradict each other, or were stolen."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_agent.clock import AHEAD_MS, BUILT_MS, TrustedClock
from edgefleet_agent.clock_confirmation import ClockConfirmation
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from support.agent_clocks import DAY_MS, THEN, KeptFloor, Machine, Word


@pytest.mark.attack
def test_a_board_that_starts_in_1970_goes_by_what_it_knows_has_passed() -> None:
    machine = Machine(5_000)
    assert TrustedClock(machine, KeptFloor(), Word()).now_ms() == BUILT_MS
    clock = TrustedClock(machine, KeptFloor(THEN), Word())
    assert (clock.now_ms(), clock.source) == (THEN, "floor")
    machine.sleep(60)
    assert clock.now_ms() == THEN + 60_000


def test_a_system_clock_is_believed_forwards_and_never_back() -> None:
    machine = Machine(THEN)
    clock = TrustedClock(machine, KeptFloor(), Word())
    assert (clock.now_ms(), clock.source) == (THEN, "system")
    machine.ms = THEN + 30 * DAY_MS
    assert clock.now_ms() == THEN + 30 * DAY_MS
    machine.ms = 0
    assert (clock.now_ms(), clock.source) == (THEN, "floor")


def test_signed_time_goes_before_every_other_and_raises_the_floor_once_an_hour() -> None:
    machine, floor = Machine(THEN - 300_000), KeptFloor()
    clock = TrustedClock(machine, floor, Word())
    assert clock.offer(THEN) == "adopted"
    assert (clock.now_ms(), clock.source, clock.offset_ms, floor.ms) == (THEN, "signed", 300_000, THEN)
    machine.sleep(60)
    machine.ms = 0
    assert clock.now_ms() == THEN + 60_000
    assert clock.offer(THEN + 60_000) == "adopted"
    assert (floor.ms, floor.writes) == (THEN, 1)


def test_a_system_clock_far_ahead_is_put_right_and_leaves_nothing_behind() -> None:
    floor = KeptFloor()
    clock = TrustedClock(Machine(THEN + 3650 * DAY_MS), floor, Word())
    assert clock.offer(THEN) == "adopted"
    assert (clock.now_ms(), floor.ms) == (THEN, THEN)
    assert TrustedClock(Machine(THEN + 1000), floor, Word()).now_ms() == THEN + 1000


@pytest.mark.attack
def test_a_time_below_the_floor_is_refused() -> None:
    floor = KeptFloor(THEN)
    clock = TrustedClock(Machine(THEN + 1000), floor, Word())
    assert clock.offer(THEN - 1) == "refused"
    assert (clock.now_ms(), clock.source, floor.ms) == (THEN + 1000, "system", THEN)


@pytest.mark.attack
def test_a_thief_of_the_assignment_key_sends_no_device_into_the_future() -> None:
    machine, floor = Machine(THEN), KeptFloor()
    clock = TrustedClock(machine, floor, Word())
    assert clock.offer(THEN + 3650 * DAY_MS) == "held"
    assert (clock.now_ms(), floor.ms) == (THEN, 0)
    for day in range(1, 30):  # nor in steps, each of them small
        clock.offer(THEN + day * DAY_MS)
    assert clock.now_ms() <= THEN + AHEAD_MS
    assert floor.ms <= THEN + AHEAD_MS


def test_a_time_that_is_held_waits_for_the_operators_word(tmp_path: Path) -> None:
    machine, floor, word = Machine(0), KeptFloor(THEN), ClockConfirmation(DataFolder(tmp_path), Disk())
    clock = TrustedClock(machine, floor, word)
    later = THEN + 90 * DAY_MS
    assert clock.offer(later) == "held"
    machine.sleep(100)
    assert (clock.now_ms(), clock.held_ms) == (THEN + 100_000, later + 100_000)
    word.write(later)
    clock.look_for_confirmation()
    assert (clock.now_ms(), clock.held_ms, floor.ms) == (later + 100_000, None, later + 100_000)
    assert word.read() is None
    assert clock.offer(later + 6 * DAY_MS) == "held", "one word is for one time"


def test_a_confirmation_of_an_earlier_time_confirms_no_later_one() -> None:
    clock = TrustedClock(Machine(THEN), KeptFloor(), Word(THEN + 10 * DAY_MS))
    assert clock.offer(THEN + 16 * DAY_MS) == "held"
    assert clock.offer(THEN + 10 * DAY_MS) == "adopted"


def test_a_release_that_was_signed_off_line_confirms_the_time() -> None:
    floor = KeptFloor(THEN)
    clock = TrustedClock(Machine(0), floor, Word())
    later = THEN + 90 * DAY_MS
    assert clock.offer(later) == "held"
    floor.offline_ms = later - DAY_MS // 2
    clock.look_for_confirmation()
    assert clock.now_ms() == later


def test_a_confirmation_that_cannot_be_read_confirms_nothing(tmp_path: Path) -> None:
    (tmp_path / "clock-confirmed.json").write_text("{}")
    assert ClockConfirmation(DataFolder(tmp_path), Disk()).read() is None


@pytest.mark.attack
def test_a_thief_of_the_assignment_key_walks_no_further_when_the_agent_starts_again() -> None:
    machine, floor = Machine(THEN), KeptFloor()
    for _ in range(5):
        clock = TrustedClock(machine, floor, Word())
        clock.offer(clock.now_ms() + AHEAD_MS - 1000)
        machine.sleep(60)
    assert clock.now_ms() <= THEN + AHEAD_MS + 300_000


def test_a_board_without_a_clock_is_off_for_days_over_and_over_as_long_as_it_is_on_for_longer() -> None:
    floor, truth = KeptFloor(THEN, accounted_ms=THEN), THEN
    for _ in range(10):
        machine, truth = Machine(0), truth + 2 * DAY_MS  # off
        clock = TrustedClock(machine, floor, Word())
        assert clock.offer(truth) == "adopted"
        machine.sleep(30 * 86_400)
        truth += 30 * DAY_MS
        floor.offline_ms = truth - DAY_MS  # a release now and then
        assert clock.offer(truth) == "adopted"


@pytest.mark.attack
def test_what_a_stolen_key_said_of_the_time_goes_with_the_key() -> None:
    machine, floor = Machine(THEN), KeptFloor()
    clock = TrustedClock(machine, floor, Word())
    assert clock.offer(THEN + AHEAD_MS - 1000) == "adopted"
    assert clock.offer(THEN + 3650 * DAY_MS) == "held"
    floor.replace_keys()
    assert (clock.now_ms(), clock.source, clock.held_ms) == (THEN, "system", None)
    assert clock.offer(THEN + 1000) == "adopted"


@pytest.mark.attack
def test_a_release_that_says_it_comes_from_the_future_moves_no_clock() -> None:
    machine, floor = Machine(THEN), KeptFloor(offline_ms=THEN + 3650 * DAY_MS)
    clock = TrustedClock(machine, floor, Word())
    assert clock.now_ms() == THEN
    assert clock.offer(THEN + 1000) == "adopted"
    assert TrustedClock(machine, floor, Word()).now_ms() == THEN + 1000
