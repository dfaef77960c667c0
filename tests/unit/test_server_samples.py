"""Samples on the server: only with a consent, sealed, for their time; and erasure, down to the file."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from edgefleet_contract import canonical, messages, samples, topics
from edgefleet_contract.errors import NotFound
from edgefleet_contract.manifest import SamplingPolicy
from edgefleet_contract.messages import SAMPLE_CHUNK_BYTES, SampleChunk, TelemetryRecord
from edgefleet_server.clock import DAY, HOUR
from edgefleet_server.erasure.retention import Retention
from edgefleet_server.erasure.service import Erased, erase_device
from edgefleet_server.erasure.terms import Terms
from edgefleet_server.ingest import Outcome
from edgefleet_server.mqtt import Incoming
from edgefleet_server.samples import service
from edgefleet_server.telemetry import service as telemetry
from support.sampled import CONSENT
from support.server_state import Inside, StandIn
from support.tiny_bundles import tiny_bundle


def running(inside: Inside, policy: SamplingPolicy) -> StandIn:
    """A device that runs a bundle with this sampling policy."""
    made = inside.device()
    bundle = tiny_bundle(inside.folder, changed=lambda manifest: msgspec.structs.replace(manifest, sampling=policy))
    inside.settle(inside.roll_out(inside.push(bundle)), made)
    return made


def sends_telemetry(inside: Inside, device: StandIn, windows: int) -> None:
    assert device.running is not None
    made = [TelemetryRecord(n, device.boot, device.running, 0, 60_000, 10, 1) for n in range(1, windows + 1)]
    inside.ingest.store([device.telemetry(made)])


def windows_of(inside: Inside, device: StandIn) -> int:
    with inside.database.read() as session:
        return len(telemetry.latest(session, device.id, 1000))


@pytest.fixture
def device(inside: Inside) -> StandIn:
    return running(inside, SamplingPolicy(1.0, 2, CONSENT))


def sealed_by(device: StandIn, plain: bytes) -> bytes:
    assert device.running is not None
    return samples.seal_sample(plain, device=device.id, digest=device.running, taken=5, recipient=CONSENT.recipient)


def chunks_of(device: StandIn, sealed: bytes) -> list[SampleChunk]:
    pieces = [sealed[i : i + SAMPLE_CHUNK_BYTES] for i in range(0, len(sealed), SAMPLE_CHUNK_BYTES)]
    name = canonical.sha256(sealed)
    return [
        SampleChunk(1, device.id, device.running or "", name, len(sealed), n, piece)
        for n, piece in enumerate(pieces, start=1)
    ]


def send(inside: Inside, device: StandIn, *chunks: SampleChunk) -> Outcome:
    topic = topics.of(topics.SAMPLE, device.id)
    return inside.ingest.store([Incoming(topic, messages.encode(chunk), mid, 1) for mid, chunk in enumerate(chunks)])


def kept(inside: Inside) -> list[bytes]:
    with inside.database.read() as session:
        return [service.sealed(session, sample.id) for sample in service.whole(session, None, 0, 100)]


def test_a_sample_in_pieces_is_kept_as_it_was_sealed(inside: Inside, device: StandIn) -> None:
    sealed = sealed_by(device, os.urandom(2 * SAMPLE_CHUNK_BYTES))
    first, *rest = chunks_of(device, sealed)
    assert list(send(inside, device, first).acks.values()) == [1]
    assert kept(inside) == []
    assert list(send(inside, device, first, *rest, first).acks.values()) == [3]
    assert kept(inside) == [sealed]
    with inside.database.read() as session:
        (listed,) = service.whole(session, device.id, 0, 10)
    assert (listed.taken_at, listed.expires_at - listed.received_at) == (5, 30 * DAY)


def test_a_piece_out_of_turn_is_answered_with_what_is_there(inside: Inside, device: StandIn) -> None:
    chunks = chunks_of(device, sealed_by(device, os.urandom(2 * SAMPLE_CHUNK_BYTES)))
    assert list(send(inside, device, chunks[1]).acks.values()) == [0]
    assert list(send(inside, device, *chunks).acks.values()) == [3]


@pytest.mark.attack
def test_without_a_consent_nothing_is_kept_nor_acknowledged(inside: Inside) -> None:
    device = running(inside, SamplingPolicy(1.0, 100))
    assert send(inside, device, *chunks_of(device, sealed_by(device, b"secret"))).acks == {}
    unknown = msgspec.structs.replace(chunks_of(device, sealed_by(device, b"secret"))[0], digest="e" * 64)
    assert send(inside, device, unknown).acks == {}
    assert kept(inside) == []


@pytest.mark.attack
def test_a_device_that_floods_has_its_share_of_a_day(inside: Inside, device: StandIn) -> None:
    for number in range(10):
        send(inside, device, *chunks_of(device, sealed_by(device, b"%d" % number)))
    assert len(kept(inside)) == 4
    inside.clock.turn(DAY + 1)
    send(inside, device, *chunks_of(device, sealed_by(device, b"tomorrow")))
    assert len(kept(inside)) == 5


@pytest.mark.attack
@pytest.mark.parametrize(
    "changes",
    [
        {"size": 1 << 40},
        {"size": 0},
        {"n": 0},
        {"n": 2},
        {"data": b""},
        {"sha256": "../../x"},
        {"sha256": "f" * 64},
        {"device": "d-aaaaaaaaaaaaaaaa"},
    ],
    ids=str,
)
def test_a_piece_that_lies_is_refused(inside: Inside, device: StandIn, changes: dict[str, object]) -> None:
    (chunk,) = chunks_of(device, sealed_by(device, b"x"))
    assert send(inside, device, msgspec.structs.replace(chunk, **changes)).acks == {}
    assert kept(inside) == []


@pytest.mark.attack
def test_a_sample_with_the_label_of_another_device_is_refused(inside: Inside, device: StandIn) -> None:
    other = inside.device()
    other.running = device.running
    lie = [msgspec.structs.replace(chunk, device=device.id) for chunk in chunks_of(other, sealed_by(other, b"x"))]
    assert send(inside, device, *lie).acks == {}
    assert kept(inside) == []


def test_what_is_over_its_time_is_deleted_every_hour(inside: Inside, device: StandIn) -> None:
    sends_telemetry(inside, device, 3)
    send(inside, device, *chunks_of(device, sealed_by(device, b"old")))
    retention = Retention(inside.database, inside.clock, Terms(telemetry=90, samples=365))
    inside.clock.turn(30 * DAY - HOUR)
    send(inside, device, *chunks_of(device, sealed_by(device, b"new")))
    inside.clock.turn(HOUR)
    retention.delete_old()
    assert len(kept(inside)) == 1
    assert windows_of(inside, device) == 3
    inside.clock.turn(61 * DAY)
    retention.delete_old()
    assert windows_of(inside, device) == 0


@pytest.mark.attack
def test_erasing_a_device_leaves_nothing_of_it_in_any_file_and_others_alone(
    inside: Inside, device: StandIn, tmp_path: Path
) -> None:
    other = inside.device()
    other.running = device.running
    for one in (device, other) * 2:
        send(inside, one, *chunks_of(one, sealed_by(one, os.urandom(200_000))))
        sends_telemetry(inside, one, 40)
    mine = [data for data in kept(inside) if device.id.encode() in data[:400]]
    marks = [data[at : at + 32] for data in mine for at in range(500, len(data) - 32, 7_001)]
    assert all(any(mark in file for file in database_files(tmp_path)) for mark in marks[:3])
    with inside.fleet.change("admin") as change:
        erased = erase_device(change, device.id)
    inside.database.scrub()
    assert (erased.samples, erased.telemetry) == (2, 40)
    files = database_files(tmp_path)
    assert not [mark for mark in marks if any(mark in file for file in files)]
    assert (len(kept(inside)), windows_of(inside, other)) == (2, 40)
    assert inside.acts()[-1] == "device.erased"


def test_a_device_that_is_not_there_cannot_be_erased(inside: Inside) -> None:
    with pytest.raises(NotFound), inside.fleet.change("admin") as change:
        erase_device(change, "d-aaaaaaaaaaaaaaaa")
    with inside.fleet.change("admin") as change:
        assert erase_device(change, inside.device().id) == Erased(0, 0, 0, 0)


def database_files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("edgefleet.db*")]
