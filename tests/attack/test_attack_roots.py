"""Attacks on a device by roots: skipped, forged, abandoned and old ones."""

from __future__ import annotations

import pytest

from edgefleet_contract.errors import (
    MetadataMalformed,
    MetadataMismatch,
    MetadataRolledBack,
    MetadataUnsigned,
)
from support.trusting import SKY, Device, experienced, publish
from support.tuf_repository import Holders, TufRepository

pytestmark = pytest.mark.attack


@pytest.fixture
def ours() -> TufRepository:
    return TufRepository()


@pytest.fixture
def device(ours: TufRepository) -> Device:
    return experienced(ours)


def test_a_device_that_missed_three_roots_follows_them(ours: TufRepository, device: Device) -> None:
    for _ in range(3):
        ours.replace_keys(root=Holders.fresh(3, 2))
    device.take(ours, publish(ours, 3), 3)
    assert device.store.floor().root == 4


def test_a_root_is_not_skipped(ours: TufRepository, device: Device) -> None:
    for _ in range(3):
        ours.replace_keys(root=Holders.fresh())
    path = publish(ours, 3)
    metadata = ours.metadata(path)
    del metadata["3.root.json"]
    with device.unchanged(), pytest.raises(MetadataMalformed, match="one after the other"):
        device.take(ours, path, 3, metadata=metadata)
    del metadata["2.root.json"]
    with device.unchanged(), pytest.raises((MetadataMalformed, MetadataUnsigned)):
        device.take(ours, path, 3, metadata=metadata)


def test_a_root_needs_the_keys_of_the_one_before(ours: TufRepository, device: Device) -> None:
    thief = ours.copy()
    thief.root = Holders.fresh()
    thief.replace_keys(targets=Holders.fresh(), timestamp=Holders.fresh(), assignment=Holders.fresh())
    thief.snapshot = thief.timestamp
    with device.unchanged(), pytest.raises(MetadataUnsigned):
        device.take(thief, publish(thief, 3), 3)


def test_a_root_of_two_keys_needs_both() -> None:
    ours = TufRepository(root=Holders.fresh(2, 2))
    device = Device(ours)
    thief = ours.copy()
    thief.root = Holders(ours.root.private[:1], 1)
    thief.replace_keys()
    with device.unchanged(), pytest.raises(MetadataUnsigned):
        device.take(thief, publish(thief, 1), 1)


@pytest.mark.parametrize("metadata_lost", [False, True])
def test_an_abandoned_root_key_makes_no_other_history(ours: TufRepository, device: Device, metadata_lost: bool) -> None:
    thief = ours.copy()
    ours.replace_keys(root=Holders.fresh())
    device.take(ours, publish(ours, 3), 3)
    if metadata_lost:
        device.lose_metadata()
    thief.versions |= dict.fromkeys(("timestamp", "snapshot", "targets", "role/digits"), SKY)
    thief.replace_keys(targets=Holders.fresh())
    for _ in range(2):
        with device.unchanged(), pytest.raises(MetadataMismatch, match="not the one"):
            device.take(thief, publish(thief, 4), 4)
        thief.replace_keys()


def test_an_old_root_is_refused_with_all_that_it_signed(ours: TufRepository, device: Device) -> None:
    old = ours.copy()
    ours.replace_keys(timestamp=Holders.fresh(), assignment=Holders.fresh())
    ours.snapshot = ours.timestamp
    ours.replace_keys()
    device.take(ours, publish(ours, 3), 3)
    device.lose_metadata()
    with device.unchanged(), pytest.raises(MetadataRolledBack, match="root"):
        device.take(old, publish(old, 4), 4)
