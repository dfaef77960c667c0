"""The Pareto front: the candidates than which no other is at least as good in every respect and better in one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgefleet_compiler.sweep.record import Candidate, Figures

_TRADED = frozenset({"accuracy.lost"})
"""Refusals that do not keep a candidate off the front: a loss of accuracy is what the rest is bought with."""


def front_of(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The front, by bytes and then by number.

    Four figures count, each the less the better: bytes, peak RAM, work (multiply-accumulates, or instructions where
    they were counted) and the loss of accuracy, or where that was not measured the noise of the outputs. A figure that
    nobody knows counts as the worst. Of candidates that are equal in all four the one with the truest outputs stands,
    then the one with the lowest number. Candidates that a gate refused for more than their loss of accuracy are left
    out: the target does not run them.

    Args:
        candidates: In the order of their numbers.
    """
    eligible = [(candidate, figures) for candidate in candidates if (figures := eligible_figures(candidate))]
    kept = [
        candidate
        for candidate, figures in eligible
        if not any(_dominates(other, theirs, candidate, figures) for other, theirs in eligible)
    ]
    return sorted(kept, key=lambda candidate: (_figures(candidate).bytes, candidate.number))


def eligible_figures(candidate: Candidate) -> Figures | None:
    """The figures of a candidate that may be on the front; None for others."""
    figures = candidate.evaluation.figures
    return figures if figures is not None and set(figures.refusals) <= _TRADED else None


def _dominates(candidate: Candidate, figures: Figures, other: Candidate, theirs: Figures) -> bool:
    mine, others = _costs(figures), _costs(theirs)
    if mine == others:
        return (_noise(figures), candidate.number) < (_noise(theirs), other.number)
    return all(cost <= their for cost, their in zip(mine, others, strict=True))


def _costs(figures: Figures) -> tuple[float, float, float, float]:
    work = figures.macs if figures.instructions is None else figures.instructions
    loss = _noise(figures) if figures.drop is None else figures.drop
    return float(figures.bytes), _known(figures.peak_ram_bytes), _known(work), loss


def _known(figure: int | None) -> float:
    return math.inf if figure is None else float(figure)


def _noise(figures: Figures) -> float:
    """Less for truer outputs; the least without noise."""
    return -math.inf if figures.sqnr_db is None else -figures.sqnr_db


def _figures(candidate: Candidate) -> Figures:
    assert candidate.evaluation.figures is not None
    return candidate.evaluation.figures
