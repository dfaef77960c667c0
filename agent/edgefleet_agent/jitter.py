"""Waiting times that differ from device to device, so that a fleet does not come back all at once."""

from __future__ import annotations

import secrets

_STEPS = 1 << 20


def jittered(seconds: float) -> float:
    """A time drawn evenly from half to one and a half of ``seconds``."""
    return seconds * (0.5 + secrets.randbelow(_STEPS) / _STEPS)


class Backoff:
    """Doubling times to wait, each jittered.

    Args:
        first_s: The first.
        last_s: What they grow to.
    """

    def __init__(self, first_s: float, last_s: float) -> None:
        self._first_s = self._next_s = first_s
        self._last_s = last_s

    def next(self) -> float:
        """How many seconds to wait this time."""
        seconds = jittered(self._next_s)
        self._next_s = min(self._next_s * 2, self._last_s)
        return seconds

    def reset(self) -> None:
        """It went well: begin with the first again."""
        self._next_s = self._first_s
