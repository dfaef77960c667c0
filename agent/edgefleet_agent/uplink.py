"""What goes up until the server has it: spooled telemetry and the reported twin, each acknowledged by the server.

The broker's PUBACK is no delivery: brokers drop silently past their queues. So everything is sent again, ever more
rarely, until the server's own acknowledgement comes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgefleet_agent import agent_version
from edgefleet_agent.clock import Clock
from edgefleet_agent.identity import Identity
from edgefleet_agent.jitter import Backoff
from edgefleet_agent.record import Record
from edgefleet_agent.spool import Spool
from edgefleet_contract import dsse, messages, topics
from edgefleet_contract.fingerprint import Fingerprint
from edgefleet_contract.messages import Ack, ErrorReport, Reported, Telemetry
from edgefleet_contract.topics import Topic

log = logging.getLogger(__name__)

Publish = Callable[[Topic, bytes], None]

_FIRST_RETRY_S = 5.0
_LAST_RETRY_S = 300.0
_BATCH_RECORDS = 64
_BATCH_BYTES = messages.MESSAGE_LIMIT * 3 // 4


class TelemetryUplink:
    """Sends spooled records, one batch at a time.

    Args:
        spool: Where they are until acknowledged.
        device: The device id.
        publish: Sends a message, or loses it.
        clock: For time stamps and retries.
    """

    def __init__(self, spool: Spool, device: str, publish: Publish, clock: Clock) -> None:
        self._spool = spool
        self._device = device
        self._publish = publish
        self._clock = clock
        self._backoff = Backoff(_FIRST_RETRY_S, _LAST_RETRY_S)
        self._due: float | None = None

    def send(self) -> None:
        """Send the oldest records now."""
        records = self._spool.oldest(_BATCH_RECORDS, _BATCH_BYTES)
        if not records:
            self._due = None
            return
        batch = Telemetry(messages.VERSION, self._device, self._clock.now_ms(), records)
        self._publish(topics.TELEMETRY, messages.encode(batch))
        self._due = self._clock.monotonic() + self._backoff.next()

    def connected(self) -> None:
        """The broker is there: what was on its way is lost."""
        self._backoff.reset()
        self.send()

    def wake(self) -> None:
        """There is something new: send it, unless a batch is on its way."""
        if self._due is None:
            self.send()

    def acknowledged(self, ack: Ack) -> None:
        """Forget what the server has, and go on with the next batch.

        Raises:
            DiskFailed: The acknowledgement cannot be written; the records will be sent again.
        """
        if self._spool.acknowledge(ack.boot, ack.through):
            self._backoff.reset()
            self.send()

    def tick(self) -> None:
        """Send again what was not acknowledged in time."""
        if self._due is not None and self._clock.monotonic() >= self._due:
            self.send()


class Reporter:
    """Publishes the reported twin at every change, and again until the server has it.

    Args:
        identity: Signs it.
        boot: Name of this life of the agent.
        runtimes: Inference runtimes present.
        publish: Sends a message, or loses it.
        clock: For time stamps and retries.
        is_stale: Whether the server's time stays away.
        fingerprint: Of this machine.
    """

    def __init__(
        self,
        identity: Identity,
        boot: str,
        runtimes: dict[str, str],
        publish: Publish,
        clock: Clock,
        is_stale: Callable[[], bool],
        *,
        fingerprint: Fingerprint,
    ) -> None:
        self._identity = identity
        self._boot = boot
        self._fingerprint = fingerprint
        self._runtimes = runtimes
        self._publish = publish
        self._clock = clock
        self._is_stale = is_stale
        self._backoff = Backoff(_FIRST_RETRY_S, _LAST_RETRY_S)
        self._n = 0
        self._envelope = b""
        self._due: float | None = None

    def report(self, record: Record, refusal: ErrorReport | None = None) -> None:
        """Publish the state as it is now.

        Args:
            record: Of the state machine.
            refusal: Why a message was refused that changed no state; told instead of the state's own error.
        """
        self._n += 1
        card = self._identity.card
        in_slots = set(record.slots.values())
        reported = Reported(
            v=messages.VERSION,
            device=card.device,
            ts=self._clock.now_ms(),
            boot=self._boot,
            n=self._n,
            sequence=record.sequence,
            state=record.state,
            running=record.running_digest,
            confirmed=[digest for digest in record.confirmed if digest in in_slots],
            trial=record.slots[record.trial] if record.trial else None,
            hardware=card.hardware,
            agent=agent_version(),
            runtimes=self._runtimes,
            error=refusal or record.error,
            evidence=record.evidence,
            stale=self._is_stale(),
            fingerprint=self._fingerprint,
        )
        self._envelope = self._identity.sign(messages.encode(reported), dsse.REPORTED)
        self._backoff.reset()
        self.send()

    def send(self) -> None:
        """Publish the newest report, again if need be."""
        if self._n:
            self._publish(topics.REPORTED, self._envelope)
            self._due = self._clock.monotonic() + self._backoff.next()

    def connected(self) -> None:
        """The broker is there: tell the server how this device is."""
        self._backoff.reset()
        self.send()

    def acknowledged(self, ack: Ack) -> None:
        """The server has all reports up to this one."""
        if ack.boot == self._boot and ack.through >= self._n:
            self._due = None

    def tick(self) -> None:
        """Publish again what was not acknowledged in time."""
        if self._due is not None and self._clock.monotonic() >= self._due:
            self.send()
