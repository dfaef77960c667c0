"""A device reports numbers beyond all counting: it harms itself, and nobody else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgefleet_contract import canonical, dsse, topics, trust
from edgefleet_contract.counting import LARGEST
from edgefleet_contract.errors import AssignmentReplayed, StatementMalformed
from edgefleet_contract.messages import TelemetryRecord
from edgefleet_contract.sketches import Sketch
from edgefleet_server.clock import DAY, SECOND
from edgefleet_server.console import service as console
from edgefleet_server.mqtt import Incoming
from edgefleet_server.releases.models import ReleasedBundle
from edgefleet_server.telemetry import drift
from edgefleet_server.telemetry.watch import DriftWatch
from edgefleet_server.users.roles import Principal, Role
from support.contract_samples import ASSIGNMENT_KEY, MemoryStore, sample_assignment, sample_proof
from support.server_state import Inside, StandIn
from support.server_trust import Judge, rotate
from support.tiny_bundles import REFERENCE
from support.unchanged import unchanged

pytestmark = pytest.mark.attack

BEYOND = [-1, LARGEST + 1, (1 << 63) - 1, 1 << 63, 1 << 200]
BATCH = 300  # records of a message
NINE_YEARS = 9 * 365 * DAY // SECOND  # a sequence as far ahead as that is believed


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with closing(Inside(tmp_path)) as opened:
        yield opened


def claimed(device: StandIn, **lies: Any) -> Incoming:
    """A signed report with some fields as no agent would write them."""
    honest = json.loads(device.message("downloading").payload)
    payload = json.dumps(json.loads(base64.b64decode(honest["payload"])) | lies).encode()
    return Incoming(topics.of(topics.REPORTED, device.id), dsse.sign(payload, dsse.REPORTED, [device.key]), 1, 1)


@pytest.mark.parametrize("number", BEYOND)
@pytest.mark.parametrize("name", ["sequence", "n", "ts"])
def test_a_report_beyond_all_counting_changes_nothing(inside: Inside, name: str, number: int) -> None:
    liar, honest = inside.device(), inside.device()
    label = inside.roll_out(inside.push())
    with unchanged(inside.data.path):
        outcome = inside.ingest.store([claimed(liar, **{name: number})])
        assert outcome.acks == {}
        assert not inside.engine.renew_assignments()
    honest.confirms()
    assert inside.deployment(label, honest).state == "probation"


@pytest.mark.parametrize("number", BEYOND)
@pytest.mark.parametrize("name", ["sequence", "expires", "probation_ms"])
def test_an_assignment_beyond_all_counting_is_refused(name: str, number: int) -> None:
    store = MemoryStore()
    payload = json.dumps(json.loads(canonical.encode(sample_assignment())) | {name: number}).encode()
    with pytest.raises(StatementMalformed):
        trust.accept(dsse.sign(payload, dsse.ASSIGNMENT, [ASSIGNMENT_KEY]), sample_proof(), 0, store)
    assert not store.raised


def test_sequences_driven_ahead_end_with_the_key_that_a_thief_had(inside: Inside) -> None:
    liar, honest = inside.device(), inside.device()
    label = inside.roll_out(inside.push())
    judge = Judge(inside, liar)
    ahead = liar.assignment().sequence + NINE_YEARS
    liar.says("downloading", sequence=ahead)
    inside.clock.turn(SECOND)
    assert inside.engine.renew_assignments()
    assert liar.assignment().sequence == ahead + 1
    assert judge.obeys().assignment.sequence == ahead + 1
    inside.clock.turn(SECOND)
    rotate(inside, "assignment")
    now = inside.clock() // SECOND
    assert liar.assignment().sequence == now
    assert honest.assignment().sequence == now
    assert judge.obeys().assignment.sequence == now, "the device's floor fell with the key as well"
    inside.clock.turn(SECOND)
    inside.act("abort", label)
    assert liar.assignment().sequence == now + 1, "what it told before the new key counts no more"


def test_sequences_do_not_fall_while_the_root_names_their_key(inside: Inside) -> None:
    device = inside.device()
    label = inside.roll_out(inside.push())
    device.says("downloading", sequence=device.assignment().sequence + NINE_YEARS)
    assert inside.engine.renew_assignments()
    judge, high = Judge(inside, device), device.assignment().sequence
    driven = judge.desired()
    judge.obeys()
    inside.clock.turn(SECOND)
    inside.act("abort", label)
    assert judge.obeys().assignment.sequence == high + 1
    with pytest.raises(AssignmentReplayed):
        judge.judges(*driven)


def test_an_honest_device_is_heard_however_wrong_the_servers_clock_once_was(inside: Inside) -> None:
    device, release = inside.device(), inside.push()
    inside.clock.turn(20 * 365 * DAY)
    label = inside.roll_out(release)
    inside.clock.turn(-20 * 365 * DAY)
    device.says("downloading")
    assert inside.deployment(label, device).state == "downloading"


@pytest.mark.parametrize("name", ["inferences", "errors", "dropped"])
def test_counts_beyond_all_sums_are_refused_and_the_console_still_shows_the_others(inside: Inside, name: str) -> None:
    liar = inside.device()
    enough = (1 << 63) // LARGEST + 1  # records that together overflow the integers of a database
    lies = [
        TelemetryRecord(n, liar.boot, "0" * 64, 0, 1, **{"inferences": 0, "errors": 0, "dropped": 0, name: LARGEST})
        for n in range(1, enough + 1)
    ]
    for start in range(0, enough, BATCH):
        inside.ingest.store([liar.telemetry(lies[start : start + BATCH])])
    with inside.database.read() as session:
        assert console.snapshot(session, inside.fleet, Principal("jo", Role.VIEWER)).served == {}


def test_sketches_beyond_all_sums_are_refused_and_other_devices_are_still_compared(inside: Inside) -> None:
    devices = sorted([inside.device(), inside.device()], key=lambda device: device.id)
    inside.settle(inside.roll_out(inside.push()), *devices)
    (liar, honest), digest = devices, str(devices[0].running)
    with inside.database.read() as session:
        reference = str(session.get_one(ReleasedBundle, digest).reference_sha256)
    for device, n, records in ((liar, LARGEST, (1 << 63) // LARGEST + 1), (honest, 1000, 1)):
        sketch = Sketch(reference, n, 0.0, [[n, 0, 0, 0] for _ in REFERENCE.features])
        for number in range(1, records + 1, BATCH):
            some = range(number, min(number + BATCH, records + 1))
            lies = [TelemetryRecord(n, device.boot, digest, 0, 1, 10, 0, None, sketch) for n in some]
            inside.ingest.store([device.telemetry(lies)])
    watch = DriftWatch(inside.database, inside.clock, inside.references)
    watch.note({(device.id, digest) for device in devices})
    watch.evaluate_changed()
    with inside.database.read() as session:
        assert [verdict.device_id for verdict in drift.verdicts(session)] == [honest.id]
