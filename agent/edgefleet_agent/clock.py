"""The clocks of a device. Everything takes one as an argument, so that tests can turn it.

A board may start in 1970, and the system clock of any other is set by whoever answers it on the network. So the agent
goes by a :class:`TrustedClock`: the system's, never below the *time floor*, until the server's signed time is known.
Signed time is not believed blindly either: a thief of the assignment key could otherwise send a device into a future in
which everything has expired. What lies further ahead than :data:`AHEAD_MS` of what this device can account for, over
all its starts together, is held until somebody confirms it who is no thief of that key (docs/adr/0026).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal, Protocol

from edgefleet_contract.trust import Time

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
    """What this device has reason to believe of the time, durable. All but the offline time is the assignment keys'."""

    def time_floor(self) -> int:
        """The latest time that was adopted, UTC milliseconds; 0 when nothing is known."""

    def accounted_time(self) -> int:
        """The latest time that this device accounted for, UTC milliseconds; 0 as above."""

    def raise_time_floor(self, told_ms: int, accounted_ms: int) -> None:
        """It is ``told_ms`` at least, of which this device can account for ``accounted_ms``."""

    def offline_time(self) -> int:
        """When the newest release confirmed here was signed, offline, UTC milliseconds; 0 if there is none."""

    def time_keys(self) -> str:
        """Names the keys that may sign the time."""


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
        floor: What must never sink, until the keys are replaced that raised it.
        confirmation: What the operator says.
    """

    def __init__(self, system: Clock, floor: TimeFloor, confirmation: Confirmation) -> None:
        self._system = system
        self._floor = floor
        self._confirmation = confirmation
        self._signed: Instant | None = None
        self._held: Instant | None = None
        self._begin()

    def now_ms(self) -> int:
        """UTC milliseconds: signed time and what has passed since, or else the best that is known without it."""
        self._heed_keys()
        signed = self._signed
        return self._unsigned_ms() if signed is None else self._since(signed)

    def monotonic(self) -> float:
        """Seconds of the system's monotonic clock."""
        return self._system.monotonic()

    def known(self) -> Time:
        """The time as trust has to know it."""
        now = self.now_ms()
        return Time(now, max(BUILT_MS, self._system.now_ms()), max(now, self.held_ms or 0))

    @property
    def source(self) -> Source:
        """Where :meth:`now_ms` comes from."""
        self._heed_keys()
        if self._signed is not None:
            return "signed"
        lag_ms = self._unsigned_ms() - self._system.now_ms()
        return "floor" if lag_ms > _TICKS_APART_MS else "system"

    @property
    def offset_ms(self) -> int:
        """How far :meth:`now_ms` is ahead of the system clock."""
        return self.now_ms() - self._system.now_ms()

    @property
    def held_ms(self) -> int | None:
        """The time, by now, that the server signed and nobody has confirmed; None if there is none."""
        self._heed_keys()
        held = self._held
        return None if held is None else self._since(held)

    def offer(self, told_ms: int) -> Verdict:
        """Take a time that the server has just signed for this device.

        Returns:
            "adopted"; "held" until it is confirmed, for it is too far ahead; "refused", for it is below the floor.

        Raises:
            DiskFailed: The floor cannot be raised; the time is adopted until the agent ends.
        """
        self._heed_keys()
        if told_ms < max(BUILT_MS, self._floor.time_floor()):
            return "refused"
        told, vouched_ms = Instant(told_ms, self.monotonic()), max(self._accounted_ms(), self._floor.offline_time())
        is_far_ahead = told_ms > vouched_ms + AHEAD_MS
        if is_far_ahead:
            if not self._is_confirmed(told_ms):
                self._held = told
                return "held"
            self._account, vouched_ms = told, told_ms
        self._held, self._signed = None, told
        if is_far_ahead or told_ms >= self._floor.time_floor() + _RAISE_STEP_MS:
            self._floor.raise_time_floor(told_ms, min(told_ms, vouched_ms))
        if is_far_ahead:
            self._confirmation.forget()  # last, so that after a power cut it is still there, or the floor is up
        return "adopted"

    def look_for_confirmation(self) -> None:
        """Adopt the time that is held, if it has been confirmed in the meantime.

        Raises:
            DiskFailed: As :meth:`offer`.
        """
        held_ms = self.held_ms
        if held_ms is not None:
            self.offer(held_ms)

    def _begin(self) -> None:
        """Begin the account: at the start, and when the keys are replaced on whose word it rested.

        No signed time moves it, or a thief could walk into the future in small steps.
        """
        self._keys = self._floor.time_keys()
        self._signed = self._held = None
        start_ms, monotonic = max(BUILT_MS, self._system.now_ms()), self.monotonic()
        self._account = Instant(max(start_ms, self._floor.accounted_time()), monotonic)
        self._adopted = Instant(self._floor.time_floor(), monotonic)  # by lives of this agent before

    def _heed_keys(self) -> None:
        if self._floor.time_keys() != self._keys:
            self._begin()

    def _is_confirmed(self, told_ms: int) -> bool:
        confirmed = self._confirmation.read()
        return confirmed is not None and told_ms <= confirmed + AHEAD_MS

    def _accounted_ms(self) -> int:
        """What it is as far as this device knows without the server."""
        return max(self._since(self._account), self._system.now_ms())

    def _unsigned_ms(self) -> int:
        return max(self._accounted_ms(), self._since(self._adopted))

    def _since(self, instant: Instant) -> int:
        return instant.ms + round((self.monotonic() - instant.monotonic) * 1000)
