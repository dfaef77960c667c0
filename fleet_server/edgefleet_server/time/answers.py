"""Answers devices that ask for the time, each seldom enough that asking costs the server nothing."""

from __future__ import annotations

from edgefleet_contract import dsse, messages
from edgefleet_contract.messages import SignedTime, TimeRequest
from edgefleet_server.clock import SECOND, Clock
from edgefleet_server.trust.sealing import Seal

ANSWER_EVERY = 5 * SECOND  # a device asks again after 10 s at the earliest


class TimeAnswers:
    """Tells the time, at most once in :data:`ANSWER_EVERY` to each device.

    Args:
        clock: The time that is told.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answered: dict[str, int] = {}  # when, by device: callers check that there is such a device

    def answer(self, request: TimeRequest, seal: Seal) -> bytes | None:
        """The answer to ``request``, signed by ``seal``; None when its device has just had one."""
        now = self._clock()
        last = self._answered.get(request.device)
        if last is not None and 0 <= now - last < ANSWER_EVERY:
            return None
        self._answered[request.device] = now
        told = SignedTime(messages.VERSION, request.device, request.nonce, now)
        return seal(messages.encode(told), dsse.TIME)
