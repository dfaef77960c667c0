"""Asks the server for the time, and notices when no answer comes although the broker is there."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from edgefleet_agent.clock import TrustedClock
from edgefleet_agent.jitter import Backoff, jittered
from edgefleet_contract import messages, topics
from edgefleet_contract.messages import SignedTime, TimeRequest
from edgefleet_contract.topics import Topic

log = logging.getLogger(__name__)

ROUND_TRIP_S = 30.0  # an answer may be that old; a broker that holds answers back can lag the clock by no more
STALE_AFTER_S = 2 * 86_400.0  # connected, and not one of eight requests answered
_ASK_EVERY_S = 6 * 3600.0
_FIRST_RETRY_S = 20.0  # at least 10 s, with jitter: the server answers a device once in 5 s
_LAST_RETRY_S = 3600.0


@dataclass(frozen=True)
class _Question:
    nonce: str
    asked: float  # by the monotonic clock


class Timekeeper:
    """Keeps the trusted clock supplied with signed time.

    Args:
        clock: The trusted clock.
        device: The device id.
        boot: Name of this life of the agent.
        publish: Sends a message, or loses it.
    """

    def __init__(self, clock: TrustedClock, device: str, boot: str, publish: Callable[[Topic, bytes], None]) -> None:
        self._clock = clock
        self._device = device
        self._boot = boot
        self._publish = publish
        self._backoff = Backoff(_FIRST_RETRY_S, _LAST_RETRY_S)
        self._n = 0
        self._question: _Question | None = None
        self._due: float | None = None
        self._ticked = clock.monotonic()
        self._unheard_s = 0.0
        self._was_signed = False

    @property
    def is_stale(self) -> bool:
        """Whether answers have stayed away for :data:`STALE_AFTER_S` of being connected."""
        return self._unheard_s >= STALE_AFTER_S

    def connected(self) -> None:
        """The broker is there: ask."""
        self._backoff.reset()
        self._ask()

    def tick(self, *, is_connected: bool) -> None:
        """Ask when it is time to, and look whether a time that is held has been confirmed.

        Raises:
            DiskFailed: The time floor cannot be raised.
        """
        now = self._clock.monotonic()
        if is_connected:
            self._unheard_s += now - self._ticked
        self._ticked = now
        are_keys_replaced = self._was_signed and self._clock.source != "signed"
        if are_keys_replaced or (self._due is not None and now >= self._due):
            self._ask()
        self._clock.look_for_confirmation()
        self._was_signed = self._clock.source == "signed"

    def answered(self, told: SignedTime) -> None:
        """Take a time that the server has signed, if it answers the last question soon enough.

        Raises:
            DiskFailed: The time floor cannot be raised.
        """
        question = self._question
        if question is None or told.nonce != question.nonce:
            log.warning("time dropped: nobody asked for it")
            return
        self._question = None  # answered, in time or not: no second answer to it
        if self._clock.monotonic() - question.asked > ROUND_TRIP_S:
            log.warning("time dropped: it comes later than %g s", ROUND_TRIP_S)
            return
        self._unheard_s = 0.0
        self._backoff.reset()
        self._due = self._clock.monotonic() + jittered(_ASK_EVERY_S)
        verdict = self._clock.offer(told.now)
        if verdict != "adopted":
            log.warning("signed time %s now=%d system_offset_ms=%d", verdict, told.now, self._clock.offset_ms)

    def _ask(self) -> None:
        self._n += 1
        now = self._clock.monotonic()
        self._question = _Question(secrets.token_urlsafe(16), now)
        self._due = now + self._backoff.next()
        request = TimeRequest(messages.VERSION, self._device, self._question.nonce, self._boot, self._n)
        self._publish(topics.TIME_REQUEST, messages.encode(request))
