"""The payloads of the topics, as frozen structs. Unknown fields are ignored; an unknown ``v`` is refused.

Every message from a device carries ``boot`` (one life of the agent process) and ``n`` (counted from 1 within it):
duplicates share (device, boot, n). ``ts`` is the device's clock in UTC milliseconds; it is shown, never used as order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

import msgspec

from edgefleet_contract import canonical, dsse, keys
from edgefleet_contract.counting import Count
from edgefleet_contract.errors import MessageMalformed
from edgefleet_contract.fingerprint import Fingerprint
from edgefleet_contract.sketches import Sketch

VERSION = 1
MESSAGE_LIMIT = 256 * 1024  # bytes
NOTHING_ASSIGNED = b"null"
SAMPLE_CHUNK_BYTES = 128 * 1024  # which base64 makes 171 KiB

DeviceState = Literal[
    "idle",  # nothing is assigned
    "downloading",
    "verifying",
    "trial",  # the new slot runs; the health check is under way
    "confirmed",  # golden vectors passed and the slot is durable: this is what runs
    "reverted",  # the trial failed; the last confirmed slot runs
    "failed",  # could not be tried (disk, runtime); may be tried again under a new sequence
    "rejected",  # verification said no; trying again changes nothing
]
Stream = Literal["reported", "telemetry", "sample"]


class ErrorReport(msgspec.Struct, frozen=True):
    """Why a deployment did not end well: a stable code of the error tree, and its text."""

    code: str
    text: str


class VectorsResult(msgspec.Struct, frozen=True):
    """What one slot made of the rollout vectors.

    Attributes:
        digest: The bundle that ran.
        outputs_sha256: Of the outputs' bytes (float32, C order), case after case, within a case the outputs in the
            manifest's order.
        correct: Cases whose largest value of the first output is at the label's place; None without labels.
    """

    digest: str
    outputs_sha256: str
    correct: Count | None


class Evidence(msgspec.Struct, frozen=True):
    """The rollout vectors, run on this device by the new model and by the one confirmed before it (paired).

    Attributes:
        sequence: Of the assignment that named the vectors.
        phase: "trial" before the device confirms, "probation" after.
        vectors: SHA-256 of the vectors file.
        n: Cases.
        candidate: The assigned bundle's result.
        incumbent: The result of the bundle confirmed before; None when there was none.
        only_candidate_correct: Cases that only the candidate has right (discordant pairs of McNemar's test).
        only_incumbent_correct: Cases that only the incumbent has right.
        argmax_agreement: Share of cases in which both agree; None without an incumbent.
    """

    sequence: Count
    phase: Literal["trial", "probation"]
    vectors: str
    n: Count
    candidate: VectorsResult
    incumbent: VectorsResult | None = None
    only_candidate_correct: Count = 0
    only_incumbent_correct: Count = 0
    argmax_agreement: float | None = None


class Reported(msgspec.Struct, frozen=True):
    """The reported twin. Published at every change and connection, until acknowledged; a newer one replaces it.

    Attributes:
        sequence: The assignment that ``state`` speaks of; 0 before the first.
        running: Digest of the bundle that serves inference; None before the first confirmation.
        confirmed: Digests in this device's slots that it has confirmed, the newest first.
        trial: Digest on trial, if any.
        runtimes: Inference runtimes present, with their versions.
        fingerprint: Of the hardware, as it is now.
        stale: Whether the server's signed time has stayed away for days although the broker is there: somebody between
            them may drop what the server sends.
    """

    v: int
    device: str
    ts: Count
    boot: str
    n: Count
    sequence: Count
    state: DeviceState
    running: str | None
    confirmed: list[str]
    trial: str | None
    hardware: str
    agent: str
    runtimes: dict[str, str]
    error: ErrorReport | None = None
    evidence: list[Evidence] = []
    fingerprint: Fingerprint = Fingerprint()
    stale: bool = False


class Latency(msgspec.Struct, frozen=True):
    """Percentiles of the inference time over a window, in milliseconds."""

    p50: float
    p95: float
    p99: float
    max: float


class TelemetryRecord(msgspec.Struct, frozen=True):
    """One window of one bundle's inference.

    Attributes:
        n: Counted from 1 within ``boot``; (device, boot, n) is the record's key.
        boot: The life of the agent in which the window lies.
        digest: The bundle that ran.
        start, end: Of the window, in UTC milliseconds of the device's clock.
        inferences, errors: Counts.
        latency: None when nothing ran.
        sketch: Of the inputs, against the bundle's reference; None without a reference.
        dropped: Records that the spool's byte cap has cost since the last record.
    """

    n: Count
    boot: str
    digest: str
    start: Count
    end: Count
    inferences: Count
    errors: Count
    latency: Latency | None = None
    sketch: Sketch | None = None
    dropped: Count = 0


class Telemetry(msgspec.Struct, frozen=True):
    """A batch of records, oldest first.

    It begins with the oldest record that is not acknowledged, and one batch is under way at a time: so the
    acknowledgement of its last record covers all before it, and what a broker drops is sent again.
    """

    v: int
    device: str
    ts: Count
    records: list[TelemetryRecord]


class SampleChunk(msgspec.Struct, frozen=True):
    """A piece of a sealed sample. One piece is under way at a time.

    Attributes:
        digest: The bundle whose consent lets it be sent.
        sha256: Of the whole sealed sample: its name.
        size: Of the whole, in bytes.
        n: Number of this piece, from 1; each but the last has ``SAMPLE_CHUNK_BYTES``.
        data: The piece (base64 in JSON).
    """

    v: int
    device: str
    digest: str
    sha256: str
    size: Count
    n: Count
    data: bytes


class Need(msgspec.Struct, frozen=True):
    """The blocks of a file that the device can take now, at most ``blocks.WINDOW``."""

    v: int
    device: str
    sha256: str
    blocks: list[Count]


class TimeRequest(msgspec.Struct, frozen=True):
    """The device asks for the time.

    Attributes:
        nonce: Random, never used before: only the answer that repeats it is believed.
    """

    v: int
    device: str
    nonce: str
    boot: str
    n: Count


class SignedTime(msgspec.Struct, frozen=True):
    """The server's clock, signed by the assignment key. The nonce makes it an answer to one request, and to no other.

    Attributes:
        now: UTC milliseconds at signing.
    """

    v: int
    device: str
    nonce: str
    now: Count


class Ack(msgspec.Struct, frozen=True):
    """All messages of ``stream`` from ``boot`` up to and including ``through`` are committed on the server.

    Of the stream ``sample``, ``boot`` is the sample's SHA-256 and ``through`` counts its pieces.

    Signed by the assignment key: whoever could forge it would make devices forget what the server never got. It stays
    true for ever, so that its repetition does no harm and it needs no sequence.
    """

    v: int
    device: str
    stream: Stream
    boot: str
    through: Count


class Desired(msgspec.Struct, frozen=True):
    """The desired twin: two signed statements, each exact bytes that the broker cannot change.

    Attributes:
        assignment: DSSE envelope of an ``Assignment``, by the assignment key; ``NOTHING_ASSIGNED`` for a device that
            has never had one, and is to know the newest metadata all the same.
        proof: What the pinned trust scheme needs to believe in the assigned release; opaque here.
    """

    v: int
    assignment: msgspec.Raw
    proof: msgspec.Raw


Message = TypeVar("Message", Reported, Telemetry, SampleChunk, Need, TimeRequest, Ack, SignedTime, Desired)
Order = TypeVar("Order", Ack, SignedTime)


PAYLOAD_TYPES: dict[type[Ack] | type[SignedTime], str] = {Ack: dsse.ACK, SignedTime: dsse.TIME}


def encode(message: Reported | Telemetry | SampleChunk | Need | TimeRequest | Ack | SignedTime | Desired) -> bytes:
    """The message as a payload."""
    return canonical.encode(message)


def decode(payload: bytes, kind: type[Message]) -> Message:
    """Parse and check a payload.

    Raises:
        MessageMalformed: Too long, not of this type, or of an unknown version.
    """
    message = canonical.decode(payload, kind, what=kind.__name__, limit=MESSAGE_LIMIT)
    if message.v != VERSION:
        raise MessageMalformed(f"A {kind.__name__} message has version {message.v}", expected=str(VERSION))
    return message


def open_order(envelope: bytes, kind: type[Order], device: str, trusted: Mapping[str, keys.PublicKey]) -> Order:
    """What the server tells one device, if it is signed by an assignment key and meant for that device.

    Args:
        envelope: DSSE envelope, as it came.
        kind: What it should hold.
        device: Who reads it.
        trusted: The assignment keys by key id.

    Raises:
        StatementMalformed: No envelope of this kind.
        SignatureInvalid: Not by an assignment key.
        MessageMalformed: Not of this type, of an unknown version, or for another device.
    """
    order = decode(dsse.verify(envelope, PAYLOAD_TYPES[kind], trusted), kind)
    if order.device != device:
        raise MessageMalformed(f"This {kind.__name__} is for {order.device!r}", expected=repr(device))
    return order
