"""When the rollout vectors are run again after a confirmation: at once, and after each quarter of the probation."""

from __future__ import annotations

from edgefleet_agent.clock import Clock

_QUARTERS = 4


class Probation:
    """The timetable of one probation. After a restart it begins anew: a device that was off was not watched.

    Args:
        clock: For the quarters.
        length_ms: Of the whole probation.
    """

    def __init__(self, clock: Clock, length_ms: int) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._quarter_s = length_ms / 1000 / _QUARTERS
        self._runs = 0

    @property
    def is_due(self) -> bool:
        """Whether the vectors should be run now."""
        return self._clock.monotonic() >= self._began + self._runs * self._quarter_s

    @property
    def next_is_last(self) -> bool:
        """Whether the next run is the one at the end."""
        return self._runs == _QUARTERS or self._quarter_s == 0

    def count_run(self) -> None:
        """The vectors were run; runs that a busy device missed are not made up for."""
        elapsed = self._clock.monotonic() - self._began
        missed = int(elapsed / self._quarter_s) if self._quarter_s else _QUARTERS
        self._runs = min(max(self._runs + 1, missed + 1), _QUARTERS)
