"""Attacks on a device by metadata: what a hostile broker, a stolen server or a thief of keys could send."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from edgefleet_contract import trust
from edgefleet_contract.errors import (
    AssignmentReplayed,
    DowngradeRefused,
    MetadataExpired,
    MetadataIncomplete,
    MetadataMalformed,
    MetadataMismatch,
    MetadataOverlong,
    MetadataRolledBack,
    MetadataUnsigned,
    NotReleased,
    SecurityFloorViolated,
    SignatureInvalid,
    StatementMalformed,
)
from edgefleet_contract.trust import repository as scheme
from support.contract_samples import NOW
from support.trusting import Device, publish
from support.tuf_repository import Holders, TufRepository

pytestmark = pytest.mark.attack

SKY = (1 << 31) - 1
DAY_MS = 24 * 3600 * 1000


def moment(now: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(now / 1000, dt.UTC)


@pytest.fixture
def ours() -> TufRepository:
    return TufRepository()


@pytest.fixture
def device(ours: TufRepository) -> Device:
    """It has confirmed releases 1 and 2, under sequences 1 and 2."""
    device = Device(ours)
    for serial in (1, 2):
        device.take(ours, publish(ours, serial), serial)
    return device


# --- rollback and freeze ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metadata_lost", [False, True])
def test_an_old_repository_is_refused_even_when_the_metadata_are_lost(
    ours: TufRepository, device: Device, metadata_lost: bool
) -> None:
    old = ours.copy()
    path = publish(ours, 3)
    device.take(ours, path, 3)
    if metadata_lost:
        device.lose_metadata()
    with device.unchanged(), pytest.raises(MetadataRolledBack):
        device.take(old, publish(old.copy(), 2), 4, metadata=old.metadata("digits/2.0.0/x86-64.efb"))


@pytest.mark.parametrize("what", ["timestamp", "snapshot", "targets", "role/digits"])
def test_no_part_of_the_metadata_goes_back(ours: TufRepository, device: Device, what: str) -> None:
    path = publish(ours, 3)
    ours.versions[what] -= 2
    with device.unchanged(), pytest.raises(MetadataRolledBack, match=what):
        device.take(ours, path, 3)


def test_a_lost_floor_is_reckoned_from_the_metadata(ours: TufRepository, device: Device) -> None:
    old = ours.copy()
    device.take(ours, publish(ours, 3, security_floor=4), 3)
    device.lose_floor()
    with device.unchanged(), pytest.raises(MetadataRolledBack):
        device.take(old, "digits/2.0.0/x86-64.efb", 4)
    with device.unchanged(), pytest.raises(AssignmentReplayed):
        device.take(ours, "digits/2.0.0/x86-64.efb", 2)
    with device.unchanged(), pytest.raises(SecurityFloorViolated):
        device.take(ours, "digits/2.0.0/x86-64.efb", 4, purpose="rollback")
    path = publish(ours, 4, security_floor=4, issued=2)
    with device.unchanged(), pytest.raises(DowngradeRefused):
        device.take(ours, path, 4)
    device.take(ours, "digits/3.0.0/x86-64.efb", 3)


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets", "role/digits"])
def test_a_freeze_ends_with_the_life_of_the_metadata(ours: TufRepository, device: Device, role: str) -> None:
    ours.expires[role] = moment(NOW + DAY_MS)
    if role == "root":
        ours.replace_keys()
    path = publish(ours, 3)
    with device.unchanged(), pytest.raises(MetadataExpired):
        device.take(ours, path, 3, now=NOW + DAY_MS)
    device.take(ours, path, 3, now=NOW + DAY_MS - 1000)


def test_expiry_goes_by_the_devices_clock_alone(ours: TufRepository, device: Device) -> None:
    path = publish(ours, 3)
    ours.expires["timestamp"] = moment(NOW - 1)
    with device.unchanged(), pytest.raises(MetadataExpired):
        device.take(ours, path, 3)
    ours.expires["timestamp"] = dt.datetime(1971, 1, 1, tzinfo=dt.UTC)
    device.take(ours, path, 3, now=0)


# --- mix and match, endless data, arbitrary software -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["snapshot", "targets", "digits"])
def test_files_of_several_states_do_not_go_together(ours: TufRepository, device: Device, name: str) -> None:
    old = ours.metadata("digits/2.0.0/x86-64.efb")
    path = publish(ours, 3)
    mixed = ours.metadata(path)
    (new_name,) = (file for file in mixed if file.endswith(f".{name}.json"))
    (old_name,) = (file for file in old if file.endswith(f".{name}.json"))
    mixed[new_name] = old[old_name]
    with device.unchanged(), pytest.raises(MetadataMismatch):
        device.take(ours, path, 3, metadata=mixed)


@pytest.mark.parametrize("name", ["timestamp", "snapshot", "targets", "digits"])
def test_missing_metadata_are_told(ours: TufRepository, device: Device, name: str) -> None:
    path = publish(ours, 3)
    partial = {file: data for file, data in ours.metadata(path).items() if not file.endswith(f"{name}.json")}
    with device.unchanged(), pytest.raises(MetadataIncomplete, match=name):
        device.take(ours, path, 3, metadata=partial)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("timestamp", scheme.TIMESTAMP_LIMIT),
        ("snapshot", scheme.SNAPSHOT_LIMIT),
        ("targets", scheme.TARGETS_LIMIT),
        ("digits", scheme.TARGETS_LIMIT),
    ],
)
def test_endless_metadata_are_not_read_to_their_end(ours: TufRepository, device: Device, name: str, limit: int) -> None:
    path = publish(ours, 3)
    metadata = ours.metadata(path)
    (file,) = (file for file in metadata if file.endswith(f"{name}.json"))
    metadata[file] = json.dumps(json.loads(metadata[file]) | {"padding": "x" * limit}).encode()
    with device.unchanged(), pytest.raises(MetadataOverlong):
        device.take(ours, path, 3, metadata=metadata)


def test_an_endless_proof_and_endless_roots_cost_nothing(ours: TufRepository, device: Device) -> None:
    path = publish(ours, 3)
    metadata = ours.metadata(path)
    with device.unchanged(), pytest.raises(StatementMalformed, match="bytes"):
        device.take(ours, path, 3, metadata=metadata | {"x": b'"' + b"x" * 300_000 + b'"'})
    with device.unchanged(), pytest.raises(MetadataMalformed, match="roots"):
        device.take(ours, path, 3, metadata=metadata | {f"{number}.root.json": b"0" for number in range(2, 70)})
    with device.unchanged(), pytest.raises(MetadataMalformed, match="files"):
        device.take(ours, path, 3, metadata=metadata | {f"{number}.more.json": b"0" for number in range(100)})
    long_root = json.dumps(json.loads(ours.first_root) | {"padding": "x" * scheme.ROOT_LIMIT}).encode()
    with device.unchanged(), pytest.raises(MetadataMalformed, match="bytes"):
        device.take(ours, path, 3, metadata=metadata | {"2.root.json": long_root})


@pytest.mark.parametrize("stolen", ["timestamp", "assignment"])
def test_online_keys_cannot_release_anything(ours: TufRepository, device: Device, stolen: str) -> None:
    thief = ours.copy()
    thief.targets = getattr(ours, stolen)
    path = publish(thief, 3)
    with device.unchanged(), pytest.raises(MetadataUnsigned):
        device.take(thief, path, 3)


def test_the_keys_of_one_model_do_not_release_another(ours: TufRepository, device: Device) -> None:
    ours.delegated["speech"] = Holders.fresh()
    ours.release(
        trust.Release("speech", "1.0.0", 1, 0), trust.ReleasedBundle("x86-64", ["x86-64"], "a" * 64, "f" * 64, 1000)
    )
    thief = ours.copy()
    thief.delegated = {"digits": ours.delegated["speech"]}
    path = publish(thief, 3)
    ours.sign_all("role/digits")
    metadata = ours.metadata(path) | {"3.digits.json": thief.metadata(path)["3.digits.json"]}
    with device.unchanged(), pytest.raises(MetadataUnsigned, match="digits"):
        device.take(ours, path, 3, metadata=metadata)


def test_a_role_lists_only_paths_of_its_model(ours: TufRepository, device: Device) -> None:
    path = publish(ours, 3)
    entry = ours.entries.pop(path)
    entry.path = "digits/3.0.0/../x/x86-64.efb"
    ours.entries[entry.path] = entry
    with device.unchanged(), pytest.raises(NotReleased):
        device.take(ours, entry.path, 3)


def test_an_entry_that_speaks_of_another_bundle_is_refused(ours: TufRepository, device: Device) -> None:
    path = publish(ours, 3)
    ours.entries[path].unrecognized_fields["custom"]["version"] = "4.0.0"
    with device.unchanged(), pytest.raises(StatementMalformed):
        device.take(ours, path, 3)


# --- roots -----------------------------------------------------------------------------------------------------------


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


# --- a thief who drives the numbers to the sky -----------------------------------------------------------------------


def driven_to_the_sky(ours: TufRepository, device: Device) -> TufRepository:
    """A thief of every key but the root's has the device accept the highest versions of everything."""
    thief = ours.copy()
    for what in ("timestamp", "snapshot", "targets", "role/digits"):
        thief.versions[what] = SKY
    device.take(thief, publish(thief, 66, security_floor=SKY, issued=NOW + DAY_MS), SKY)
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
