"""What came of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from edgefleet_compiler.sweep.front import front_of
from edgefleet_compiler.sweep.record import Candidate


@dataclass(frozen=True)
class Results:
    """What came of a sweep.

    Attributes:
        source_sha256: Of the model.
        target: Name of the profile.
        seed: Of everything random.
        candidates: In the order of their numbers.
    """

    source_sha256: str
    target: str
    seed: int
    candidates: Sequence[Candidate]

    @cached_property
    def front(self) -> list[Candidate]:
        """See ``front_of``."""
        return front_of(self.candidates)

    @property
    def metric(self) -> str | None:
        """That accuracy was measured by; None where it was not."""
        return next((each.evaluation.metric for each in self.candidates if each.evaluation.metric is not None), None)

    @property
    def baseline(self) -> float | None:
        """The source's accuracy; None where it was not measured."""
        return next(
            (each.evaluation.baseline for each in self.candidates if each.evaluation.baseline is not None), None
        )
