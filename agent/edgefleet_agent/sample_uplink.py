"""Sends sealed samples, one piece at a time, again and again until the server has each."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from edgefleet_agent.clock import Clock
from edgefleet_agent.jitter import Backoff
from edgefleet_agent.outbox import Outbox
from edgefleet_agent.uplink import Publish
from edgefleet_contract import messages, samples, topics
from edgefleet_contract.errors import SealBroken
from edgefleet_contract.messages import SAMPLE_CHUNK_BYTES, Ack, SampleChunk

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 5.0
_LAST_RETRY_S = 3600.0  # the server takes no more a day than the consent allows: it is no use to insist


@dataclass(frozen=True)
class _Sending:
    """The sample on its way: its file, name, bundle and size in bytes, and how many pieces the server has."""

    path: Path
    sha256: str
    digest: str
    size: int
    arrived: int = 0

    @property
    def pieces(self) -> int:
        return -(-self.size // SAMPLE_CHUNK_BYTES)


class SampleUplink:
    """Empties the outbox.

    Args:
        outbox: Where sealed samples are until acknowledged.
        device: The device id.
        publish: Sends a message, or loses it.
        clock: For retries.
    """

    def __init__(self, outbox: Outbox, device: str, publish: Publish, clock: Clock) -> None:
        self._outbox = outbox
        self._device = device
        self._publish = publish
        self._clock = clock
        self._backoff = Backoff(_FIRST_RETRY_S, _LAST_RETRY_S)
        self._sending: _Sending | None = None
        self._due: float | None = None

    def connected(self) -> None:
        """The broker is there: what was on its way is lost."""
        self._backoff.reset()
        self._send()

    def tick(self) -> None:
        """Send what is new, or what was not acknowledged in time."""
        if self._due is None or self._clock.monotonic() >= self._due:
            self._send()

    def acknowledged(self, ack: Ack) -> None:
        """Go on with the next piece, or the next sample.

        Raises:
            DiskFailed: A sample that arrived cannot be removed; it will be sent again.
        """
        sending = self._sending
        if sending is None or ack.boot != sending.sha256:
            return
        if ack.through >= sending.pieces:
            self._outbox.remove(sending.path)
            self._sending = None
        else:
            self._sending = _Sending(sending.path, sending.sha256, sending.digest, sending.size, max(0, ack.through))
        self._backoff.reset()
        self._send()

    def _send(self) -> None:
        if self._sending is None or not self._sending.path.is_file():
            self._sending = self._next()
        if self._sending is None:
            self._due = None
            return
        sending = self._sending
        chunk = SampleChunk(
            messages.VERSION,
            self._device,
            sending.digest,
            sending.sha256,
            sending.size,
            sending.arrived + 1,
            _piece(sending),
        )
        self._publish(topics.SAMPLE, messages.encode(chunk))
        self._due = self._clock.monotonic() + self._backoff.next()

    def _next(self) -> _Sending | None:
        """The oldest sample; one that the disk has spoiled is forgotten."""
        while (path := self._outbox.oldest()) is not None:
            data = path.read_bytes()
            try:
                digest = samples.read_label(data).digest
            except SealBroken as error:
                log.warning("sample lost: %s", error)
                self._outbox.remove(path)
                continue
            return _Sending(path, hashlib.sha256(data).hexdigest(), digest, len(data))
        return None


def _piece(sending: _Sending) -> bytes:
    with sending.path.open("rb") as file:
        file.seek(sending.arrived * SAMPLE_CHUNK_BYTES)
        return file.read(SAMPLE_CHUNK_BYTES)
