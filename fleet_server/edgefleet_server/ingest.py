"""What devices send, into the database: one thread, several messages a transaction, acknowledged after the commit.

Devices lie, repeat themselves and break off. A message that cannot be used is counted, logged and acknowledged to the
broker, so that it is not sent for ever; it never touches another device, nor another message of its batch.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from edgefleet_contract import dsse, messages, topics
from edgefleet_contract.errors import EdgefleetError, MessageMalformed, NotFound, ServerDiskFailed
from edgefleet_contract.messages import (
    Ack,
    Need,
    Reported,
    SampleChunk,
    Stream,
    Telemetry,
    TimeRequest,
)
from edgefleet_server.admission import Admission
from edgefleet_server.alerts import senders, stale
from edgefleet_server.audit.change import POLICY, Change
from edgefleet_server.claims import check_record, check_report, check_sender, time_request
from edgefleet_server.clock import Clock
from edgefleet_server.db import Database
from edgefleet_server.devices import clones, proof
from edgefleet_server.devices import service as devices
from edgefleet_server.metrics import Metrics
from edgefleet_server.mqtt import Connection, Incoming
from edgefleet_server.rollouts import progress
from edgefleet_server.samples import service as samples
from edgefleet_server.telemetry import drift
from edgefleet_server.telemetry import service as telemetry
from edgefleet_server.telemetry.references import References
from edgefleet_server.time.answers import TimeAnswers
from edgefleet_server.trust.sealing import Sealing

_log = logging.getLogger(__name__)
_RETRY_AFTER = 1.0  # seconds, when the database fails


@dataclass
class Outcome:
    """What a committed batch leaves to do.

    Attributes:
        acks: Highest number committed, by device, stream and boot.
        reported: Whether a twin changed, so that the policy should look.
        key_settled: Whether a device has used a new key, so that its old certificates are revoked.
        drifting: Devices and digests whose sketches changed.
        time_asked: Who wants to know the time.
    """

    acks: dict[tuple[str, Stream, str], int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    reported: bool = False
    key_settled: bool = False
    drifting: set[tuple[str, str]] = field(default_factory=set)
    time_asked: list[TimeRequest] = field(default_factory=list)

    def acknowledge(self, device: str, stream: Stream, boot: str, n: int) -> None:
        """Everything of ``stream`` up to ``n`` is stored."""
        key = (device, stream, boot)
        self.acks[key] = max(self.acks.get(key, 0), n)


class Ingest:
    """The ingest thread.

    Args:
        sealing: Signs acknowledgements and the time.
        on_need: Called with each request for blocks; not stored.
        on_stored: Called after a commit that changed a twin or a sketch.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        references: References,
        metrics: Metrics,
        *,
        sealing: Sealing,
        on_need: Callable[[Need], None],
        on_stored: Callable[[Outcome], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._references = references
        self._metrics = metrics
        self._sealing = sealing
        self._times = TimeAnswers(clock)
        self._admission = Admission(database, clock, metrics)
        self._on_need = on_need
        self._on_stored = on_stored
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, connection: Connection) -> None:
        """Begin to take what ``connection`` receives."""
        self._thread = threading.Thread(target=self._run, args=(connection,), name="ingest", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether what devices send is taken."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Finish the batch at hand, then end."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, connection: Connection) -> None:
        while not self._stopping.is_set():
            try:
                batch = self._admission.next_batch(connection)
                if batch:
                    self._settle(connection, batch)
            except Exception:  # noqa: BLE001 - the border of the thread: without it no device is heard any more
                _log.exception("the ingest failed and goes on; what it did not acknowledge comes again")
                self._stopping.wait(_RETRY_AFTER)

    def _settle(self, connection: Connection, batch: list[Incoming]) -> None:
        """Store a batch, however often that takes; only then acknowledge it."""
        while not self._stopping.is_set():
            try:
                outcome = self.store(batch)
            except (OperationalError, ServerDiskFailed) as error:
                _log.error("the database failed; nothing of %d messages is acknowledged yet: %s", len(batch), error)
                self._stopping.wait(_RETRY_AFTER)
                continue
            self._answer(connection, outcome)
            for message in batch:
                connection.acknowledge(message)
            if outcome.reported or outcome.drifting or outcome.key_settled:
                self._on_stored(outcome)
            return

    def _answer(self, connection: Connection, outcome: Outcome) -> None:
        """Tell the devices of a batch what is stored now, and what time it is; who hears nothing asks again."""
        try:
            seal = self._sealing()
        except EdgefleetError as error:
            _log.error("nothing is acknowledged: [%s] %s", error.code, error.text())
            return
        for (device, stream, boot), through in outcome.acks.items():
            ack = messages.encode(Ack(messages.VERSION, device, stream, boot, through))
            connection.publish(topics.of(topics.ACK, device), seal(ack, dsse.ACK), topics.ACK.qos)
        for request in outcome.time_asked:
            answer = self._times.answer(request, seal)
            if answer is not None:
                connection.publish(topics.of(topics.TIME, request.device), answer, topics.TIME.qos)

    def store(self, batch: list[Incoming]) -> Outcome:
        """Commit a batch in one transaction; if one message spoils it, each in a transaction of its own.

        Raises:
            OperationalError, ServerDiskFailed: The database itself fails.
        """
        try:
            return self._store_together(batch)
        except (OperationalError, ServerDiskFailed):
            raise
        except Exception:  # noqa: BLE001 - whatever a message brings about, it must not stop the others
            if len(batch) == 1:
                _log.exception("topic=%s a message was dropped: storing it failed", batch[0].topic)
                self._metrics.count_message(_kind(batch[0]), "failed")
                return Outcome()
        whole = Outcome()
        for message in batch:
            part = self.store([message])
            whole.acks.update(part.acks)
            whole.reported |= part.reported
            whole.key_settled |= part.key_settled
            whole.drifting |= part.drifting
            whole.time_asked += part.time_asked
        return whole

    def _store_together(self, batch: list[Incoming]) -> Outcome:
        outcome = Outcome()
        results: list[tuple[str, str]] = []
        with self._database.write() as session:
            known = devices.known(session, _senders(batch))
            for message in batch:
                try:
                    self._take(session, known, message, outcome)
                    results.append((_kind(message), "stored"))
                except EdgefleetError as error:
                    _log.warning("topic=%s refused: [%s] %s", message.topic, error.code, error.text())
                    clones.suspect_after(Change(session, self._clock(), POLICY), error)
                    results.append((_kind(message), "refused"))
            if outcome.seen:
                devices.mark_seen(session, self._clock(), outcome.seen)
        for kind, result in results:
            self._metrics.count_message(kind, result)
        return outcome

    def _take(self, session: Session, known: set[str], message: Incoming, outcome: Outcome) -> None:
        parsed = topics.parse_up(message.topic)
        if parsed is None:
            raise MessageMalformed(f"A message came on the topic {message.topic!r}")
        topic, device = parsed
        if device not in known:
            # The last words of one that is being shut out are no news.
            if not devices.departed(session, device):
                senders.tell_unknown(Change(session, self._clock(), device), device)
            raise NotFound(f"There is no device {device!r}")
        if topic is topics.REPORTED:
            with session.begin_nested():  # what a refused report has begun is undone
                self._take_report(session, device, message.payload, outcome)
        elif topic is topics.TELEMETRY:
            self._take_telemetry(session, device, message.payload, outcome)
        elif topic is topics.SAMPLE:
            with session.begin_nested():
                self._take_sample(session, device, message.payload, outcome)
        elif topic is topics.TIME_REQUEST:
            outcome.time_asked.append(time_request(message.payload, device))
        else:
            need = messages.decode(message.payload, Need)
            check_sender(need.device, device)
            self._on_need(need)
        outcome.seen.add(device)

    def _take_report(self, session: Session, device_id: str, payload: bytes, outcome: Outcome) -> None:
        device = devices.device(session, device_id)
        signed = proof.open_signed(session, device, payload, dsse.REPORTED)
        reported = messages.decode(signed.payload, Reported)
        check_sender(reported.device, device_id)
        now = self._clock()
        check_report(reported, now, device.sequence)
        change = Change(session, now, device_id)
        outcome.key_settled |= proof.settle_key(change, device, signed.key)
        clones.watch(change, device, reported)
        before = device.twin.running
        if devices.take_report(session, now, device, reported):
            progress.record(change, device, reported)
            stale.note(change, device_id, stale=reported.stale)
            if before is not None and before != reported.running:
                drift.stop_watching(change, device_id, before)
            outcome.reported = True
        outcome.acknowledge(device_id, "reported", reported.boot, reported.n)

    def _take_telemetry(self, session: Session, device_id: str, payload: bytes, outcome: Outcome) -> None:
        batch = messages.decode(payload, Telemetry)
        check_sender(batch.device, device_id)
        for record in batch.records:
            check_record(record)  # all of them, before the first is stored
        refused = telemetry.store(session, self._clock(), device_id, batch.records, self._references)
        if refused:
            _log.warning("device=%s %d sketches do not fit their reference", device_id, refused)
            self._metrics.count_sketches_refused(refused)
        outcome.drifting |= {(device_id, record.digest) for record in batch.records if record.sketch is not None}
        for record in batch.records:
            outcome.acknowledge(device_id, "telemetry", record.boot, record.n)

    def _take_sample(self, session: Session, device_id: str, payload: bytes, outcome: Outcome) -> None:
        chunk = messages.decode(payload, SampleChunk)
        check_sender(chunk.device, device_id)
        outcome.acknowledge(device_id, "sample", chunk.sha256, samples.take(session, self._clock(), device_id, chunk))


def _senders(batch: list[Incoming]) -> set[str]:
    """The devices on whose topics the messages came."""
    return {parsed[1] for message in batch if (parsed := topics.parse_up(message.topic)) is not None}


def _kind(message: Incoming) -> str:
    parsed = topics.parse_up(message.topic)
    return parsed[0].name if parsed else "other"
