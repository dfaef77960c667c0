"""A thief of keys drives versions and sequences to the sky; the root that replaces the keys lets the owner in."""

from __future__ import annotations

import pytest

from edgefleet_contract import trust
from edgefleet_contract.errors import (
    AssignmentReplayed,
    DowngradeRefused,
    MetadataRolledBack,
    SecurityFloorViolated,
    SignatureInvalid,
)
from support.contract_samples import NOW
from support.trusting import SKY, Device, experienced, publish
from support.tuf_repository import Holders, TufRepository

pytestmark = pytest.mark.attack


@pytest.fixture
def ours() -> TufRepository:
    return TufRepository()


@pytest.fixture
def device(ours: TufRepository) -> Device:
    return experienced(ours)


def driven_to_the_sky(ours: TufRepository, device: Device) -> TufRepository:
    """A thief of every key but the root's has the device accept the highest versions of everything."""
    thief = ours.copy()
    for what in ("timestamp", "snapshot", "targets", "role/digits"):
        thief.versions[what] = SKY
    device.take(thief, publish(thief, 66, security_floor=SKY, issued=NOW + 24 * 3600 * 1000), SKY)
    return thief


def test_a_root_that_replaces_stolen_keys_lets_the_owner_in_again(ours: TufRepository, device: Device) -> None:
    thief = driven_to_the_sky(ours, device)
    path = publish(ours, 3)
    with device.unchanged(), pytest.raises((MetadataRolledBack, AssignmentReplayed)):
        device.take(ours, path, 3)
    online = Holders.fresh()
    ours.replace_keys(targets=Holders.fresh(), timestamp=online, snapshot=online, assignment=Holders.fresh())
    assert device.believes(ours, publish(ours, 3), 3)
    assert max(device.store.floor().values.values()) < SKY
    with device.unchanged(), pytest.raises(MetadataRolledBack):
        device.take(thief, "digits/66.0.0/x86-64.efb", SKY + 1)


@pytest.mark.parametrize("floor_lost", [False, True])
def test_a_thiefs_sequence_falls_with_the_key_even_when_the_floor_is_lost(
    ours: TufRepository, device: Device, floor_lost: bool
) -> None:
    path = publish(ours, 3)
    device.take(ours, path, SKY)
    ours.replace_keys(assignment=Holders.fresh())
    trust.refresh(ours.proof(path), NOW, device.store)
    if floor_lost:
        device.lose_floor()
    device.take(ours, path, 3)


@pytest.mark.parametrize(
    ("replaced", "fallen"),
    [("targets", {"security", "issued/digits"}), ("timestamp", set()), ("assignment", {"sequence"})],
)
def test_only_the_floors_of_replaced_keys_fall(
    ours: TufRepository, device: Device, replaced: str, fallen: set[str]
) -> None:
    driven_to_the_sky(ours, device)
    for what in ("timestamp", "snapshot", "targets", "role/digits"):
        ours.versions[what] = SKY + 9
    ours.replace_keys(**{replaced: Holders.fresh()})
    trust.refresh(ours.proof("digits/2.0.0/x86-64.efb"), NOW, device.store)
    floor = device.store.floor()
    assert {what for what in ("sequence", "security", "issued/digits") if trust.highest(floor, what) == 0} == fallen


def test_a_key_added_lets_no_floor_fall(ours: TufRepository, device: Device) -> None:
    old = ours.copy()
    device.take(ours, publish(ours, 3, security_floor=4), 3)
    both = Holders((*ours.targets.private, *Holders.fresh().private), 1)
    ours.replace_keys(targets=both)
    for release, error in (({"security_floor": 3}, SecurityFloorViolated), ({"issued": 2}, DowngradeRefused)):
        path = publish(ours, 4, **{"security_floor": 4, **release})
        with device.unchanged(), pytest.raises(error):
            device.take(ours, path, 4)
    old.roots = dict(ours.roots)
    old.targets = both
    with device.unchanged(), pytest.raises(MetadataRolledBack):
        device.take(old, "digits/1.0.0/x86-64.efb", 4)


def test_a_replaced_assignment_key_assigns_nothing_more(ours: TufRepository, device: Device) -> None:
    stolen = ours.assignment
    ours.replace_keys(assignment=Holders.fresh())
    path = publish(ours, 3)
    thief = ours.copy()
    thief.assignment = stolen
    with device.unchanged(), pytest.raises(SignatureInvalid):
        device.take(thief, path, 3)
    device.take(ours, path, 3)
