"""The clocks of a device. Everything takes one as an argument, so that tests can turn it.

A board may start in 1970, and the system clock of any other is set by whoever answers it on the network. So the agent
goes by a :class:`TrustedClock`: the system's, never below the *time floor*, until the server's signed time is known.
Signed time is not believed blindly either: a thief of the assignment key could otherwise send a device into a future in
which everything has expired. What lies further ahead than :data:`AHEAD_MS` of what this device can account for is held
until somebody confirms it who is no thief of that key (docs/adr/0026).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal, Protocol

BUILT_MS = 1_788_220_800_000  # 1 September 2026: no device has run this source before
AHEAD_MS = 5 * 86_400_000  # a timestamp is good for seven days and at most one old: that much makes nothing expire
_TICKS_APART_MS = 60_000  # that far the system's two clocks drift apart while it sets one of them right
_RAISE_STEP_MS = 3_600_000  # the floor is written once an hour, not at each answer

Source = Literal["floor", "system", "signed"]
Verdict = Literal["adopted", "held", "refused"]


class Clock(Protocol):
    """What the agent asks of time."""

    def now_ms(self) -> int:
        """UTC milliseconds; shown and compared with expiries, never used as order."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back; for timers."""


class SystemClock:
    """The clocks of the operating system."""

    def now_ms(self) -> int:
        """UTC milliseconds of the system clock."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds of the system's monotonic clock."""
        return time.monotonic()


class TimeFloor(Protocol):
    """The latest time that this device has reason to believe has passed, durable."""

    def time_floor(self) -> int:
        """UTC milliseconds; 0 when nothing is known."""

    def raise_time_floor(self, now_ms: int) -> None:
        """It is ``now_ms`` at least."""

    def offline_time(self) -> int:
        """The latest time that a key which is not the server's has signed, UTC milliseconds; 0 if there is none."""


class Confirmation(Protocol):
    """A time that the operator has confirmed on this device."""

    def read(self) -> int | None:
        """UTC milliseconds; None if there is none."""

    def forget(self) -> None:
        """It has served its purpose."""


@dataclass(frozen=True)
class Instant:
    """A time, and when by the monotonic clock it was so."""

    ms: int
    monotonic: float


class TrustedClock:
    """The time that this device believes.

    Args:
        system: The operating system's clocks.
        floor: What must never sink.
        confirmation: What the operator says.
    """

    def __init__(self, system: Clock, floor: TimeFloor, confirmation: Confirmation) -> None:
        self._system = system
        self._floor = floor
        self._confirmation = confirmation
        self._signed: Instant | None = None
        self._held: Instant | None = None
        # Where this life began. No signed time moves it, or a thief could walk into the future in small steps.
        self._start = Instant(max(BUILT_MS, floor.time_floor(), system.now_ms()), system.monotonic())

    def now_ms(self) -> int:
        """UTC milliseconds: signed time and what has passed since, or else the best that is known without it."""
        return self._expected_ms() if self._signed is None else self._since(self._signed)

    def monotonic(self) -> float:
        """Seconds of the system's monotonic clock."""
        return self._system.monotonic()

    @property
    def source(self) -> Source:
        """Where :meth:`now_ms` comes from."""
        if self._signed is not None:
            return "signed"
        lag_ms = self._expected_ms() - self._system.now_ms()
        return "floor" if lag_ms > _TICKS_APART_MS else "system"

    @property
    def offset_ms(self) -> int:
        """How far :meth:`now_ms` is ahead of the system clock."""
        return self.now_ms() - self._system.now_ms()

    @property
    def held_ms(self) -> int | None:
        """The time, by now, that the server signed and nobody has confirmed; None if there is none."""
        return None if self._held is None else self._since(self._held)

    def offer(self, told_ms: int) -> Verdict:
        """Take a time that the server has just signed for this device.

        Returns:
            "adopted"; "held" until it is confirmed, for it is too far ahead; "refused", for it is below the floor.

        Raises:
            DiskFailed: The floor cannot be raised; the time is adopted until the agent ends.
        """
        if told_ms < max(BUILT_MS, self._floor.time_floor()):
            return "refused"
        told = Instant(told_ms, self.monotonic())
        if told_ms > self._expected_ms() + AHEAD_MS:
            if not self._is_confirmed(told_ms):
                self._held = told
                return "held"
            self._start = told
        self._held, self._signed = None, told
        if told_ms >= self._floor.time_floor() + _RAISE_STEP_MS:
            self._floor.raise_time_floor(told_ms)
        if self._start is told:
            self._confirmation.forget()  # last, so that after a power cut it is still there, or the floor is up
        return "adopted"

    def look_for_confirmation(self) -> None:
        """Adopt the time that is held, if it has been confirmed in the meantime.

        Raises:
            DiskFailed: As :meth:`offer`.
        """
        if self._held is not None:
            self.offer(self._since(self._held))

    def _is_confirmed(self, told_ms: int) -> bool:
        confirmed = self._confirmation.read()
        return confirmed is not None and told_ms <= confirmed + AHEAD_MS

    def _expected_ms(self) -> int:
        """What it is as far as this device knows without the server: by the system, its start, and the offline keys."""
        return max(self._since(self._start), self._floor.offline_time(), self._system.now_ms())

    def _since(self, instant: Instant) -> int:
        return instant.ms + round((self.monotonic() - instant.monotonic) * 1000)
