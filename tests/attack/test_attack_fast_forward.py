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
from support.contract_samples import HARDWARE, NOW
from support.trusting import SERIAL, SKY, Device, experienced, publish
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
    [("targets", {"security/digits", "issued/digits"}), ("timestamp", set()), ("assignment", {"sequence"})],
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
    whats = ("sequence", "security/digits", "issued/digits")
    assert {what for what in whats if trust.highest(floor, what) < SKY} == fallen


def test_a_planned_replacement_of_targets_keys_lets_no_floor_fall(ours: TufRepository, device: Device) -> None:
    old = publish(ours, 3, security_floor=0)
    device.take(ours, publish(ours, 5, security_floor=5), 5)
    ours.replace_keys(targets=Holders.fresh())
    ours.sign_all("role/digits")
    trust.refresh(ours.proof(), NOW, device.store)  # even where a message without a model comes first
    with pytest.raises(SecurityFloorViolated):
        device.take(ours, old, 6)
    with pytest.raises(DowngradeRefused):
        device.take(ours, publish(ours, 6, security_floor=5, issued=4), 6)
    device.take(ours, publish(ours, 7, security_floor=5), 6)


def test_the_thief_of_one_models_keys_raises_the_floor_of_that_model_alone(ours: TufRepository, device: Device) -> None:
    ours.delegated["digits"] = Holders.fresh()
    ours.sign_all("role/digits")
    thief = ours.copy()
    device.take(thief, publish(thief, 66, security_floor=SKY), 3)
    release = trust.Release("speech", "4.0.0", 4, 1)
    path = ours.release(release, trust.ReleasedBundle("x86-64", [HARDWARE], SERIAL.format(4), "f" * 64, 1000))
    ours.versions = {**thief.versions, "role/speech": 1}
    ours.sign_all("role/digits")
    device.take(ours, path, 4)
    with device.unchanged(), pytest.raises(SecurityFloorViolated):
        device.take(ours, publish(ours, 5), 5)
    ours.delegated["digits"] = Holders.fresh()
    ours.sign_all("role/digits")
    device.take(ours, publish(ours, 6), 5)


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
