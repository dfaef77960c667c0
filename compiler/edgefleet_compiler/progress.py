"""Progress as the compiler tells it: named stages with a count, for whoever shows them."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Shows how far a compilation is."""

    def stage(self, label: str, total: int | None = None) -> None:
        """A new stage begins.

        Args:
            label: What happens now, for people.
            total: How many steps it has; None where that is not known.
        """

    def advance(self) -> None:
        """One step of the stage is done."""


class Silent:
    """Shows nothing."""

    def stage(self, label: str, total: int | None = None) -> None:
        """Nothing."""

    def advance(self) -> None:
        """Nothing."""
