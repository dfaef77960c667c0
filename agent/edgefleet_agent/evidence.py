"""Evidence for the server: the rollout vectors, run by the assigned bundle and by the one confirmed before it.

Nothing here decides: whether a model that passed its own health check is good enough is the rollout policy's to say.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgefleet_agent.inference import InferenceChild
from edgefleet_contract.messages import Evidence, VectorsResult
from edgefleet_contract.trust import Assignment


@dataclass(frozen=True)
class Outcome:
    """What one bundle made of the vectors.

    Attributes:
        digest: Of the bundle.
        n: Cases.
        outputs_sha256: Of all outputs' bytes.
        winners: Place of the largest output, case by case; None if there is only one output.
        correct: Whether that is the label, case by case; None without labels.
    """

    digest: str
    n: int
    outputs_sha256: str
    winners: list[int] | None
    correct: list[bool] | None

    def result(self) -> VectorsResult:
        """What is told of it."""
        return VectorsResult(self.digest, self.outputs_sha256, None if self.correct is None else sum(self.correct))


def run_vectors(child: InferenceChild, digest: str, vectors: Path) -> Outcome:
    """Run all cases of a vectors file.

    Raises:
        InputError: The vectors are not what the model takes.
        InferenceFailed: The model crashes or hangs.
    """
    hasher, start, total = hashlib.sha256(), 0, 1
    winners: list[int] | None = []
    correct: list[bool] | None = []
    while start < total:
        part = child.run_vectors(vectors, start)
        hasher.update(part.outputs)
        winners = None if winners is None or part.winners is None else winners + part.winners
        correct = None if correct is None or part.correct is None else correct + part.correct
        start, total = start + part.n, part.total
    return Outcome(digest, total, hasher.hexdigest(), winners, correct)


def pair(
    assignment: Assignment, phase: Literal["trial", "probation"], candidate: Outcome, incumbent: Outcome | None
) -> Evidence:
    """The evidence of one run.

    Args:
        assignment: That named the vectors.
        phase: When they were run.
        candidate: Of the assigned bundle.
        incumbent: Of the bundle confirmed before it, on the same vectors; None if there is none or it cannot.
    """
    assert assignment.vectors is not None
    pairs: list[tuple[bool, bool]] = []
    if incumbent and candidate.correct is not None and incumbent.correct is not None:
        pairs = list(zip(candidate.correct, incumbent.correct, strict=True))
    return Evidence(
        sequence=assignment.sequence,
        phase=phase,
        vectors=assignment.vectors.sha256,
        n=candidate.n,
        candidate=candidate.result(),
        incumbent=incumbent.result() if incumbent else None,
        only_candidate_correct=sum(new and not old for new, old in pairs),
        only_incumbent_correct=sum(old and not new for new, old in pairs),
        argmax_agreement=_agreement(candidate.winners, incumbent.winners) if incumbent else None,
    )


def _agreement(first: list[int] | None, second: list[int] | None) -> float | None:
    if not first or not second:
        return None
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)
