"""A machine's clocks and a time floor, as a test says."""

from __future__ import annotations

from dataclasses import dataclass

DAY_MS = 86_400_000
THEN = 1_800_000_000_000  # 15 January 2027


@dataclass
class Machine:
    """The operating system's clocks: one that anybody may set, and one that only grows."""

    ms: int
    uptime_s: float = 100.0

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.uptime_s

    def sleep(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)
        self.uptime_s += seconds


@dataclass
class KeptFloor:
    """A time floor in memory."""

    ms: int = 0
    offline_ms: int = 0
    accounted_ms: int = 0
    writes: int = 0
    keys: str = "assignment"

    def time_floor(self) -> int:
        return self.ms

    def accounted_time(self) -> int:
        return self.accounted_ms

    def raise_time_floor(self, told_ms: int, accounted_ms: int) -> None:
        self.ms, self.accounted_ms = max(self.ms, told_ms), max(self.accounted_ms, accounted_ms)
        self.writes += 1

    def offline_time(self) -> int:
        return self.offline_ms

    def time_keys(self) -> str:
        return self.keys

    def replace_keys(self) -> None:
        """A root replaces the assignment keys, and their floors fall."""
        self.keys += "'"
        self.ms = self.accounted_ms = 0


@dataclass
class Word:
    """The operator's word."""

    ms: int | None = None

    def read(self) -> int | None:
        return self.ms

    def forget(self) -> None:
        self.ms = None
