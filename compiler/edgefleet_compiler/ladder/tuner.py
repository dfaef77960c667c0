"""The tuner: finds by measurement what a rung leaves open, and says it in the words of a recipe."""

from __future__ import annotations

from edgefleet_compiler.recipe import Recipe, Rung


class Tuner:
    """Makes recipes explicit for one source model."""

    def explicit(self, rung: Rung) -> Recipe | None:
        """The recipe of a rung with everything measured that it leaves open.

        Returns:
            None where there is nothing that the rungs before did not do.
        """
        return rung.recipe if rung.tuning in ("none", "quick") else None
