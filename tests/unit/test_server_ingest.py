"""Ingest without a broker: what is stored, what is refused, and what is acknowledged."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from edgefleet_contract import dsse, keys, messages, sketches, topics
from edgefleet_contract.messages import Latency, Need, TelemetryRecord
from edgefleet_contract.sketches import Sketch
from edgefleet_server.admission import BATCH
from edgefleet_server.clock import HOUR
from edgefleet_server.devices import service as devices
from edgefleet_server.mqtt import Incoming
from edgefleet_server.releases.models import ReleasedBundle
from edgefleet_server.telemetry import models
from edgefleet_server.telemetry import service as telemetry
from support.server_state import Inside, StandIn
from support.tiny_bundles import REFERENCE


@pytest.fixture
def device(inside: Inside) -> StandIn:
    """A device that runs a bundle with a reference sketch."""
    made = inside.device()
    inside.settle(inside.roll_out(inside.push()), made)
    return made


def record(device: StandIn, n: int, *, sketch: Sketch | None = None, **changed: Any) -> TelemetryRecord:
    assert device.running is not None
    made = TelemetryRecord(
        n=n, boot=device.boot, digest=device.running, start=0, end=60_000, inferences=10, errors=1,
        latency=Latency(1.0, 2.0, 3.0, 4.0), sketch=sketch,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changed)


def sketch_for(inside: Inside, device: StandIn, n: int = 100, **changed: Any) -> Sketch:
    with inside.database.read() as session:
        bundle = session.get_one(ReleasedBundle, device.running)
        assert bundle.reference_sha256 is not None
        made = Sketch(bundle.reference_sha256, n, 0.0, [[n, 0, 0, 0] for _ in REFERENCE.features])
    return msgspec.structs.replace(made, **changed)


def stored(inside: Inside) -> list[tuple[str, int]]:
    with inside.database.read() as session:
        query = select(models.TelemetryRecord.device_id, models.TelemetryRecord.n)
        return [tuple(row) for row in session.execute(query.order_by(models.TelemetryRecord.n))]


def test_a_record_is_kept_once_however_often_it_comes(inside: Inside, device: StandIn) -> None:
    sketch = sketch_for(inside, device)
    batch = device.telemetry([record(device, 1, sketch=sketch), record(device, 2)])
    for messages_together in ([batch], [batch, batch], [batch]):
        outcome = inside.ingest.store(messages_together)
        assert outcome.acks == {(device.id, "telemetry", device.boot): 2}
    assert stored(inside) == [(device.id, 1), (device.id, 2)]
    with inside.database.read() as session:
        merged = telemetry.hours(session, device.id, str(device.running), 0)
        assert merged is not None
        assert merged.n == 100, "a sketch that came again is not counted again"
        assert telemetry.totals(session, [device.id]) == {device.id: (20, 2)}


def test_a_batch_that_overlaps_the_one_before_adds_only_what_is_new(inside: Inside, device: StandIn) -> None:
    inside.ingest.store([device.telemetry([record(device, n) for n in (1, 2, 3)])])
    inside.ingest.store([device.telemetry([record(device, n) for n in (2, 3, 4)])])
    assert stored(inside) == [(device.id, n) for n in (1, 2, 3, 4)]


def test_sketches_are_merged_by_the_servers_hours_not_the_devices(inside: Inside, device: StandIn) -> None:
    hour = inside.clock() // HOUR
    wild = record(device, 1, sketch=sketch_for(inside, device, 5), start=0, end=1)
    inside.ingest.store([device.telemetry([wild])])
    inside.clock.turn(2 * HOUR)
    inside.ingest.store([device.telemetry([record(device, 2, sketch=sketch_for(inside, device, 7))])])
    with inside.database.read() as session:
        found = session.execute(select(models.SketchHour.hour).order_by(models.SketchHour.hour))
        assert [row.hour for row in found] == [hour, hour + 2]
        recent = telemetry.hours(session, device.id, str(device.running), hour + 1)
        assert recent is not None
        assert recent.n == 7


@pytest.mark.parametrize(
    "changed",
    [
        {"reference": "0" * 64},
        {"counts": [[100, 0, 0, 0]]},
        {"counts": [[100, 0, 0], [100, 0, 0]]},
        {"counts": [[101, -1, 0, 0], [100, 0, 0, 0]]},
        {"counts": [[99, 0, 0, 0], [100, 0, 0, 0]]},
        {"rho": 1.5},
    ],
)
def test_a_sketch_that_lies_is_left_out_and_its_record_kept(
    inside: Inside, device: StandIn, changed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    lie = record(device, 1, sketch=sketch_for(inside, device, **changed))
    with caplog.at_level(logging.WARNING):
        inside.ingest.store([device.telemetry([lie])])
    assert stored(inside) == [(device.id, 1)]
    assert "1 sketches do not fit" in caplog.text
    with inside.database.read() as session:
        assert telemetry.hours(session, device.id, str(device.running), 0) is None


def refused_messages(inside: Inside, device: StandIn, other: StandIn) -> dict[str, Incoming]:
    """One message for each thing that a device may not do."""
    honest = device.message("confirmed")
    up = topics.of(topics.REPORTED, device.id)
    tele = topics.of(topics.TELEMETRY, device.id)
    return {
        "another device's topic": Incoming(topics.of(topics.REPORTED, other.id), honest.payload, 1, 1),
        "another device's name": device.message("confirmed", device=other.id),
        "signed by nobody we know": Incoming(up, dsse.sign(b"{}", dsse.REPORTED, [keys.generate()]), 1, 1),
        "unsigned": Incoming(up, b'{"v":1}', 1, 1),
        "no JSON": Incoming(up, b"\xff\x00", 1, 1),
        "empty": Incoming(up, b"", 1, 1),
        "an unknown version": device.message("confirmed", v=2),
        "a negative number": device.message("confirmed", n=-1),
        "a number beyond all counting": device.message("confirmed", n=1 << 60),
        "a sequence beyond all counting": device.message("confirmed", sequence=1 << 62),
        "a digest that is none": device.message("confirmed", running="../../etc/passwd"),
        "a slot too many": device.message("confirmed", confirmed=["0" * 64] * 17),
        "an agent with a will": device.message("confirmed", agent="\x1b[2J"),
        "a boot that is none": device.message("confirmed", boot="\n" * 8),
        "telemetry of another": device.telemetry([record(device, 1)], device=other.id),
        "a record without a number": device.telemetry([record(device, 0)]),
        "a record beyond all counting": device.telemetry([record(device, 1 << 60)]),
        "negative inferences": device.telemetry([record(device, 1, inferences=-1)]),
        "infinite latency": Incoming(tele, b'{"v":1,"device":"x","ts":0,"records":[{"latency":{"p50":1e999}}]}', 1, 1),
        "a bomb": Incoming(tele, b"[" * 100_000, 1, 1),
        "too long": Incoming(tele, b" " * (messages.MESSAGE_LIMIT + 1), 1, 1),
        "blocks of another": Incoming(
            topics.of(topics.NEED, device.id), messages.encode(Need(1, other.id, "0" * 64, [0])), 1, 1
        ),
        "a topic of nobody": Incoming("fleet/v1/d/nobody/up/reported", b"{}", 1, 1),
        "a device we never enrolled": Incoming("fleet/v1/d/d-aaaaaaaaaaaaaaaa/up/telemetry", b"{}", 1, 1),
    }


def test_what_a_lying_device_sends_changes_nothing_and_harms_nobody(inside: Inside, device: StandIn) -> None:
    other = inside.device()
    before = snapshot(inside)
    good = other.telemetry([record(device, 1, boot=other.boot)])
    lies = refused_messages(inside, device, other)
    outcome = inside.ingest.store([*lies.values(), good, *lies.values()])
    assert outcome.acks == {(other.id, "telemetry", other.boot): 1}
    assert stored(inside) == [(other.id, 1)]
    after = snapshot(inside)
    assert dataclasses.replace(after, records=0, seen=before.seen) == dataclasses.replace(before, records=0)
    assert inside.needs == []


@pytest.mark.parametrize("name", list(range(24)))
def test_each_lie_by_itself_is_refused_and_counted(inside: Inside, device: StandIn, name: int) -> None:
    lies = refused_messages(inside, device, inside.device())
    what, lie = list(lies.items())[name]
    outcome = inside.ingest.store([lie])
    assert outcome.acks == {}, what
    counted = inside.metrics.render(broker_connected=True, gauges={})
    assert 'result="refused"} 1' in counted, what


@dataclasses.dataclass(frozen=True)
class State:
    twins: list[Any]
    records: int
    seen: list[Any]
    acts: list[str]


def snapshot(inside: Inside) -> State:
    from edgefleet_server.devices.models import Device, Twin

    with inside.database.read() as session:
        twins = session.scalars(select(Twin).order_by(Twin.device_id)).all()
        return State(
            [(twin.device_id, twin.boot, twin.n, twin.state, twin.running, twin.sequence) for twin in twins],
            session.scalar(select(func.count()).select_from(models.TelemetryRecord)) or 0,
            list(session.scalars(select(Device.last_seen).order_by(Device.id))),
            [act for act in inside.acts() if act != "alert.opened"],  # that of a sender nobody knows is told
        )


def test_a_message_that_breaks_us_is_dropped_and_the_others_are_kept(
    inside: Inside, device: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = telemetry.store

    def breaks_at_two(session: Any, now: int, name: str, records: Any, references: Any) -> int:
        if any(entry.n == 2 for entry in records):
            raise ZeroDivisionError
        return whole(session, now, name, records, references)

    monkeypatch.setattr(telemetry, "store", breaks_at_two)
    batch = [device.telemetry([record(device, n)]) for n in (1, 2, 3)]
    outcome = inside.ingest.store(batch)
    assert stored(inside) == [(device.id, 1), (device.id, 3)]
    assert outcome.acks == {(device.id, "telemetry", device.boot): 3}
    assert "a message was dropped" in caplog.text


class Wire:
    """A broker's side of ingest, that remembers the order of what happens."""

    def __init__(self, inside: Inside) -> None:
        import queue

        self.incoming: queue.SimpleQueue[Incoming] = queue.SimpleQueue()
        self.happened: list[str] = []
        self._inside = inside

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        assert stored(self._inside), "acknowledged before it was committed"
        self.happened.append(topic.rpartition("/")[2])

    def acknowledge(self, message: Incoming) -> None:
        self.happened.append("puback")


def test_nothing_is_acknowledged_before_the_database_has_it(
    inside: Inside, device: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from support.server_runs import until

    wire, attempts, whole = Wire(inside), [], inside.ingest.store

    def full_disk_twice(batch: list[Incoming]) -> Any:
        attempts.append(len(batch))
        if len(attempts) < 3:
            raise OperationalError("INSERT", {}, Exception("database or disk is full"))
        return whole(batch)

    monkeypatch.setattr(inside.ingest, "store", full_disk_twice)
    monkeypatch.setattr("edgefleet_server.ingest._RETRY_AFTER", 0.01)
    inside.ingest.start(wire)  # type: ignore[arg-type]
    wire.incoming.put(device.telemetry([record(device, 1)]))
    until(lambda: "puback" in wire.happened)
    inside.ingest.stop()
    assert wire.happened == ["ack", "puback"]
    assert len(attempts) == 3
    assert stored(inside) == [(device.id, 1)]
    assert "nothing of 1 messages is acknowledged yet" in caplog.text


def test_a_batch_has_a_bound(inside: Inside, device: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.server_runs import until

    wire, sizes, whole = Wire(inside), [], inside.ingest.store

    def measured(batch: list[Incoming]) -> Any:
        sizes.append(len(batch))
        return whole(batch)

    monkeypatch.setattr(inside.ingest, "store", measured)
    for n in range(1, BATCH + 51):
        wire.incoming.put(device.telemetry([record(device, n)]))
    inside.ingest.start(wire)  # type: ignore[arg-type]
    until(lambda: wire.happened.count("puback") == BATCH + 50)
    inside.ingest.stop()
    assert max(sizes) == BATCH
    assert len(stored(inside)) == BATCH + 50


def test_hearing_a_device_is_remembered(inside: Inside, device: StandIn) -> None:
    inside.clock.turn(HOUR)
    inside.ingest.store([device.telemetry([record(device, 1)])])
    with inside.database.read() as session:
        assert devices.device(session, device.id).last_seen == inside.clock()


def test_a_need_is_handed_on_and_not_stored(inside: Inside, device: StandIn) -> None:
    need = Need(1, device.id, "0" * 64, [0, 1])
    inside.ingest.store([Incoming(topics.of(topics.NEED, device.id), messages.encode(need), 1, 1)])
    assert inside.needs == [need]


def test_merged_sketches_are_what_one_long_window_would_have_been(inside: Inside, device: StandIn) -> None:
    parts = [sketch_for(inside, device, n, counts=[[n, 0, 0, 0], [0, n, 0, 0]]) for n in (3, 5, 8)]
    for n, part in enumerate(parts, start=1):
        inside.ingest.store([device.telemetry([record(device, n, sketch=part)])])
    with inside.database.read() as session:
        assert telemetry.hours(session, device.id, str(device.running), 0) == sketches.merge(parts)
