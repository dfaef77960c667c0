"""One device floods or lies: it harms itself, and nobody else."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from edgefleet_contract.messages import Latency, TelemetryRecord
from edgefleet_contract.sketches import Sketch
from edgefleet_server import db
from edgefleet_server.admission import Admission
from edgefleet_server.alerts import service as alerts
from edgefleet_server.clock import MINUTE
from edgefleet_server.mqtt import Connection, Incoming
from edgefleet_server.quota import BURST
from edgefleet_server.telemetry import drift
from support.server_state import Inside, StandIn
from support.tiny_bundles import tiny_bundle
from support.unchanged import unchanged

pytestmark = pytest.mark.attack


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with closing(Inside(tmp_path)) as opened:
        yield opened


def told(inside: Inside) -> dict[str, int]:
    """How often each open alert was raised."""
    with inside.database.read() as session:
        return {alert.cause: alert.count for alert in alerts.alerts(session, everything=False)}


def test_a_device_that_floods_costs_the_others_nothing(inside: Inside) -> None:
    flooder, honest = inside.device(), inside.device()
    admission = Admission(inside.database, inside.clock, inside.metrics)
    flood = [flooder.telemetry([]) for _ in range(BURST)]
    assert admission.admitted(flood) == flood
    said = honest.message("idle", sequence=0)
    with unchanged(inside.data.path, apart_from=("alerts",)):
        assert admission.admitted([*flood, said, *flood]) == [said]
    inside.clock.turn(MINUTE)
    assert len(admission.admitted(flood)) == 600, "ten a second"
    assert told(inside) == {f"flood:{flooder.id}": 2}, "once a minute, not once a message"


def test_large_messages_use_the_share_up_sooner(inside: Inside) -> None:
    flooder = inside.device()
    admission = Admission(inside.database, inside.clock, inside.metrics)
    large = flooder.message("idle", sequence=0, agent="x" * 128 * 1024)
    assert len(admission.admitted([large] * 1000)) < 200


def test_a_flood_while_the_database_is_locked_silences_nobody(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "_BUSY_TIMEOUT", 10)
    flooder, honest = inside.device(), inside.device()
    with closing(db.Database(inside.data.database_url)) as database, inside.database.write() as writing:
        writing.connection()  # begins, and takes the lock
        admission = Admission(database, inside.clock, inside.metrics)
        said = honest.message("idle", sequence=0)
        assert admission.admitted([*[flooder.telemetry([])] * (BURST + 1), said])[-1] is said
    admission.admitted([flooder.telemetry([])])
    assert told(inside) == {f"flood:{flooder.id}": 1}, "told as soon as it can be"


def test_whatever_befalls_the_ingest_devices_are_heard_again(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefleet_server.ingest._RETRY_AFTER", 0.01)
    done: queue.SimpleQueue[Incoming | None] = queue.SimpleQueue()

    class Failing:
        """A connection that fails at each answer."""

        incoming: queue.SimpleQueue[Incoming] = queue.SimpleQueue()

        def publish(self, *_message: object) -> None:
            done.put(None)
            raise ValueError("payload too large")

        def acknowledge(self, message: Incoming) -> None:
            done.put(message)

    said = inside.device().message("idle", sequence=0)
    unanswered = replace(said, topic="another/topic")
    inside.ingest.start(cast("Connection", Failing()))
    for message, outcome in ((said, None), (unanswered, unanswered)):
        Failing.incoming.put(message)
        assert done.get(timeout=20) == outcome
    assert inside.ingest.is_running
    inside.ingest.stop()


def record(digest: str, n: int, sketch: Sketch | None = None) -> TelemetryRecord:
    return TelemetryRecord(n, "boot", digest, 0, 1, 10, 0, Latency(1.0, 2.0, 3.0, 4.0), sketch)


def running_devices(inside: Inside, count: int) -> tuple[list[StandIn], str]:
    """Devices that run one release, and its digest."""
    devices = [inside.device() for _ in range(count)]
    inside.settle(inside.roll_out(inside.push(tiny_bundle(inside.folder))), *devices)
    digest = devices[0].running
    assert digest is not None
    return devices, digest


def test_a_device_that_lies_about_its_inputs_is_judged_alone(inside: Inside) -> None:
    (liar, honest), digest = running_devices(inside, 2)
    known = inside.references
    with inside.database.read() as session:
        found = known.of(session, digest)
    assert found is not None
    reference = found[0]
    lie = Sketch(reference, 10**9, 0.0, [[0, 0, 0, 10**9]] * 2)
    truth = Sketch(reference, 1000, 0.0, [[250] * 4] * 2)
    inside.ingest.store([liar.telemetry([record(digest, 1, lie)]), honest.telemetry([record(digest, 1, truth)])])
    with inside.fleet.change("drift") as change:
        for device in (liar, honest):
            drift.evaluate(change, device.id, digest, known)
    with inside.database.read() as session:
        drifted = {verdict.device_id: bool(verdict.drifted) for verdict in drift.verdicts(session)}
        told = {alert.device_id for alert in alerts.alerts(session, everything=False)}
    assert drifted == {liar.id: True, honest.id: False}
    assert told == {liar.id}


def test_a_device_that_lies_about_a_release_has_one_voice(inside: Inside) -> None:
    """Its evidence, however bad and of however many cases, is one failed device of many."""
    devices, _ = running_devices(inside, 10)
    label = inside.roll_out(inside.push(tiny_bundle(inside.folder, "2.0.0")), success=0.5, error=0.3)
    liar, *others = devices
    liar.confirms(lost=190)
    for device in others:
        device.confirms()
    inside.pass_time(MINUTE)
    for device in others:
        device.confirms(phases=("probation",))
    states = {device.id: inside.deployment(label, device).state for device in devices}
    assert states.pop(liar.id) in ("failed", "rolling_back")
    assert set(states.values()) == {"succeeded"}
    assert inside.rollout(label).state != "halted"
