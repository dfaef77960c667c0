"""A disk that is full, broken or forgetful: nothing is lost by it, and it is told as what it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text

from edgefleet_contract import canonical
from edgefleet_contract.errors import ServerDiskFailed
from edgefleet_contract.messages import TelemetryRecord
from edgefleet_contract.sketches import Sketch
from edgefleet_server.alerts import service as alerts
from edgefleet_server.alerts.storage import StorageWatch
from edgefleet_server.releases.blobs import BlobStore
from edgefleet_server.telemetry.models import TelemetryRecord as Row
from support.disks import files_of_at_most
from support.server_state import Inside
from support.tiny_bundles import REFERENCE, tiny_bundle


@contextmanager
def full_database(inside: Inside) -> Iterator[None]:
    """SQLite takes not one page more."""

    def limit(connection: object) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # type: ignore[attr-defined]

    event.listen(inside.database.engine, "begin", limit)
    try:
        yield
    finally:
        event.remove(inside.database.engine, "begin", limit)
        with inside.database.engine.connect() as connection:
            connection.execute(text("PRAGMA max_page_count = 1073741823"))


def open_alerts(inside: Inside) -> list[str]:
    with inside.database.read() as session:
        return [alert.text for alert in alerts.alerts(session, everything=False) if alert.kind == "storage"]


def record(digest: str, boot: str) -> TelemetryRecord:
    sketch = Sketch(canonical.sha256(canonical.encode(REFERENCE)), 500, 0.0, [[125] * 4, [125] * 4])
    return TelemetryRecord(1, boot, digest, 0, 1, 500, 0, sketch=sketch)


def test_a_blob_that_does_not_fit_on_the_disk_is_our_fault_and_leaves_nothing(tmp_path: Path) -> None:
    blobs, content = BlobStore(tmp_path), bytes(1 << 16)
    with files_of_at_most(1000), pytest.raises(ServerDiskFailed, match="cannot write"):
        blobs.store(canonical.sha256(content), content)
    assert list(tmp_path.iterdir()) == []
    blobs.probe()
    assert list(tmp_path.iterdir()) == []
    with files_of_at_most(1000), pytest.raises(ServerDiskFailed):
        blobs.probe()


def test_a_full_database_is_our_fault_and_nothing_of_the_change_is_kept(inside: Inside) -> None:
    before = inside.acts()
    with full_database(inside), pytest.raises(ServerDiskFailed, match="full") as error:
        inside.token(**{f"tag{number}": "x" * 100 for number in range(1000)})
    assert error.value.facts == {"sqlite": "SQLITE_FULL"}
    inside.token()
    assert set(inside.acts()[len(before) :]) == {"token.created"}


def test_messages_that_the_disk_does_not_take_are_not_acknowledged(inside: Inside) -> None:
    device = inside.device()
    inside.settle(inside.roll_out(inside.push()), device)
    records = [record(str(device.running), f"boot{number}" + "x" * 50) for number in range(500)]
    message = device.telemetry(records)
    with full_database(inside), pytest.raises(ServerDiskFailed):
        inside.ingest.store([message])
    assert inside.ingest.store([message]).acks


def test_a_lost_reference_costs_sketches_and_no_telemetry(inside: Inside) -> None:
    device = inside.device()
    inside.settle(inside.roll_out(inside.push()), device)
    inside.blobs.path(canonical.sha256(canonical.encode(REFERENCE))).unlink()
    outcome = inside.ingest.store([device.telemetry([record(str(device.running), device.boot)])])
    assert outcome.acks
    with inside.database.read() as session:
        assert session.get_one(Row, (device.id, device.boot, 1)).inferences == 500


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_lost_file_is_told_until_it_is_back(inside: Inside, damage: str) -> None:
    label = inside.push()
    bundle = inside.folder / "digits-1.0.0-x86-64.efb"
    stored = inside.blobs.path(canonical.sha256(bundle.read_bytes()))
    watch = StorageWatch(inside.database, inside.clock, inside.blobs)
    watch.look()
    assert open_alerts(inside) == []
    stored.unlink() if damage == "gone" else stored.write_bytes(b"")
    watch.alarm(stored.name)
    watch.look()
    [told] = open_alerts(inside)
    assert label in told
    assert str(stored) in told
    with pytest.raises(ServerDiskFailed, match=stored.name):
        inside.blobs.read_range(stored.name, 0, 10)
    inside.blobs.store(stored.name, bundle.read_bytes())
    watch.look()
    assert open_alerts(inside) == []


def test_pushing_again_brings_lost_copies_back(inside: Inside) -> None:
    path = tiny_bundle(inside.folder)
    inside.push(path)
    copies = [canonical.sha256(canonical.encode(REFERENCE))]
    for sha256 in copies:
        inside.blobs.path(sha256).unlink()
    inside.push(path)
    assert [inside.blobs.size(sha256) is not None for sha256 in copies] == [True]
