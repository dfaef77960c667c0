"""Thieves of one key send a device into the future; metadata that really expire show whether the owner gets it back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgefleet_agent.clock import AHEAD_MS, TrustedClock
from edgefleet_contract import trust
from edgefleet_contract.errors import IssuedAhead, MetadataExpired
from edgefleet_contract.trust.floors import highest, raised
from edgefleet_contract.trust.history import ISSUED_AHEAD_MS
from edgefleet_contract.trust.repository import read_root
from support.agent_clocks import DAY_MS, Machine, Word
from support.contract_samples import NOW, MemoryStore
from support.trusting import Device, publish
from support.tuf_repository import Holders, TufRepository

pytestmark = pytest.mark.attack


class StoredFloor:
    """The time floor of a device whose memory of trust is in memory."""

    def __init__(self, store: MemoryStore, root: Callable[[], bytes]) -> None:
        self._store = store
        self._root = root

    def time_floor(self) -> int:
        return highest(self._store.floor(), "time")

    def accounted_time(self) -> int:
        return highest(self._store.floor(), "accounted")

    def raise_time_floor(self, told_ms: int, accounted_ms: int) -> None:
        keyset = read_root(self._root()).assignment.keyset
        floor = raised(self._store.floor(), "time", keyset, told_ms)
        self._store.raise_floor(raised(floor, "accounted", keyset, accounted_ms))

    def offline_time(self) -> int:
        floor = self._store.floor()
        return max((value for key, value in floor.values.items() if key.startswith("issued/")), default=0)

    def time_keys(self) -> str:
        return read_root(self._root()).assignment.keyset.name


@pytest.fixture
def ours() -> TufRepository:
    return TufRepository()


@pytest.fixture
def device(ours: TufRepository) -> Device:
    """It has confirmed a release of today, whose metadata live as long as real ones."""
    device = Device(ours)
    path = publish(ours, 1, issued=NOW)
    ours.live_from(NOW)
    device.take(ours, path, 1)
    return device


def started(ours: TufRepository, device: Device, machine: Machine) -> TrustedClock:
    """An agent starts: it has followed as many roots as its floor says."""
    return TrustedClock(machine, StoredFloor(device.store, lambda: ours.roots[device.store.floor().root]), Word())


def test_a_root_gives_the_time_back_that_a_stolen_assignment_key_took(ours: TufRepository, device: Device) -> None:
    machine, store = Machine(NOW), device.store
    keyset = read_root(ours.first_root).assignment.keyset
    gone = NOW + 3650 * DAY_MS  # as if no bound had held
    store.raise_floor(raised(raised(store.floor(), "time", keyset, gone), "accounted", keyset, gone))
    clock = started(ours, device, machine)
    assert clock.now_ms() == gone
    ours.replace_keys(assignment=Holders.fresh())
    ours.live_from(NOW)
    trust.refresh(ours.proof("digits/1.0.0/x86-64.efb"), clock.known(), store)
    assert store.floor().root == 2
    assert (clock.now_ms(), clock.source) == (NOW, "system")
    path = publish(ours, 2, issued=NOW)
    ours.live_from(NOW)
    assert device.take(ours, path, 1, now=clock.now_ms()).release is not None


def test_starts_give_a_thief_of_the_assignment_key_no_more_than_one(ours: TufRepository, device: Device) -> None:
    machine = Machine(NOW)
    for _ in range(4):
        clock = started(ours, device, machine)
        clock.offer(clock.now_ms() + AHEAD_MS - 1000)
    assert clock.now_ms() <= NOW + AHEAD_MS
    path = publish(ours, 2, issued=NOW)
    ours.live_from(NOW)  # what the owner signs today has not expired by then
    device.take(ours, path, 2, now=clock.now_ms())


@pytest.mark.parametrize("ahead_ms", [ISSUED_AHEAD_MS + 1, 40 * DAY_MS, 300_000_000 * DAY_MS])
def test_a_release_of_a_time_that_has_not_come_is_refused(ours: TufRepository, device: Device, ahead_ms: int) -> None:
    path = publish(ours, 2, issued=min(NOW + ahead_ms, (1 << 53) - 1))
    with device.unchanged(), pytest.raises(IssuedAhead):
        device.take(ours, path, 2)


def test_a_release_by_a_clock_a_little_ahead_moves_no_clock(ours: TufRepository, device: Device) -> None:
    path = publish(ours, 2, issued=NOW + ISSUED_AHEAD_MS)
    device.take(ours, path, 2)
    clock = started(ours, device, Machine(NOW))
    assert clock.now_ms() == NOW
    assert clock.offer(NOW + 1000) == "adopted"


def test_metadata_are_judged_by_the_last_day_there_is(ours: TufRepository, device: Device) -> None:
    with device.unchanged(), pytest.raises(MetadataExpired):
        trust.refresh(ours.proof(), 1 << 60, device.store)
