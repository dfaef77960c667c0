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
    StatementMalformed,
)
from edgefleet_contract.trust import repository as scheme
from support.contract_samples import NOW
from support.trusting import Device, experienced, publish
from support.tuf_repository import Holders, TufRepository

pytestmark = pytest.mark.attack

DAY_MS = 24 * 3600 * 1000


def moment(now: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(now / 1000, dt.UTC)


@pytest.fixture
def ours() -> TufRepository:
    return TufRepository()


@pytest.fixture
def device(ours: TufRepository) -> Device:
    return experienced(ours)


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
