"""Progress as a sweep tells it, for whoever shows it."""

from __future__ import annotations

from typing import Protocol

from edgefleet_compiler.sweep.record import Candidate


class SweepProgress(Protocol):
    """Shows how far a sweep is."""

    def planned(self, total: int) -> None:
        """So many candidates are known to be evaluated, those before included."""

    def done(self, candidate: Candidate) -> None:
        """One more was evaluated, or was found evaluated."""


class Silent:
    """Shows nothing."""

    def planned(self, total: int) -> None:
        """Nothing."""

    def done(self, candidate: Candidate) -> None:
        """Nothing."""
