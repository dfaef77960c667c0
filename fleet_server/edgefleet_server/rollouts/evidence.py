"""Is the candidate worse than what ran before? The judgement of one device's evidence.

*Paired*: candidate and incumbent ran the same labelled cases on the same device. Under the null hypothesis a case that
only one of them has right favours either with probability 1/2, so the count of cases that only the incumbent has right
is binomial: McNemar's test in its exact form (Q. McNemar, Psychometrika 12, 1947), one-sided. A difference must be
significant *and* large enough to matter.

*Unpaired*: no incumbent ran. The candidate's correct cases are held against what the compiler measured, less a margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from edgefleet_contract.manifest import Measured
from edgefleet_contract.messages import Evidence

SIGNIFICANCE = 0.01  # chance of calling an equal candidate worse
RELEVANT_LOSS = 0.02  # share of cases; less is not worth a halt
UNPAIRED_MARGIN = 0.05  # below the compiler's measurement; devices are not the validation set
CASES_LIMIT = 100_000  # no vectors file has more


@dataclass(frozen=True)
class Verdict:
    """What evidence says.

    Attributes:
        finding: "worse" fails the deployment. "passed" does not. "unlabelled": nothing to judge by. "invalid": it
            contradicts itself or speaks of something else, and counts as none.
        text: For people, with the figures.
        loss: Share of cases lost against the incumbent, or against the compiler's measurement.
        p: Probability of a result this bad if the candidate were no worse.
    """

    finding: Literal["worse", "passed", "unlabelled", "invalid"]
    text: str
    loss: float = 0.0
    p: float = 1.0


def judge(evidence: Evidence, *, digest: str, vectors: str, compiled: Measured | None) -> Verdict:
    """Judge what one device reports; devices can lie, so its sums are checked first.

    Args:
        evidence: As reported.
        digest: The bundle that was assigned.
        vectors: SHA-256 of the vectors that were assigned.
        compiled: The compiler's measurement of that bundle; None when there is none.
    """
    flaw = _flaw(evidence, digest, vectors)
    if flaw:
        return Verdict("invalid", flaw)
    if evidence.candidate.correct is None:
        return Verdict("unlabelled", f"{evidence.n} cases without labels")
    if evidence.incumbent is not None:
        return _paired(evidence)
    return _unpaired(evidence.candidate.correct, evidence.n, compiled)


def _paired(evidence: Evidence) -> Verdict:
    lost, won = evidence.only_incumbent_correct, evidence.only_candidate_correct
    p = upper_tail(lost + won, 0.5, lost)
    loss = (lost - won) / evidence.n
    assert evidence.candidate.correct is not None
    assert evidence.incumbent is not None
    text = (
        f"candidate {evidence.candidate.correct}/{evidence.n}, incumbent {evidence.incumbent.correct}/{evidence.n} "
        f"correct: loss {loss:.1%}, p {p:.2g}"
    )
    worse = p < SIGNIFICANCE and loss > RELEVANT_LOSS
    return Verdict("worse" if worse else "passed", text, loss, p)


def _unpaired(correct: int, n: int, compiled: Measured | None) -> Verdict:
    if compiled is None or compiled.metric != "top1":
        return Verdict("unlabelled", f"candidate {correct}/{n} correct, and no top1 measurement to hold it against")
    expected = min(max(compiled.value - UNPAIRED_MARGIN, 0.0), 1.0)
    p = lower_tail(n, expected, correct)
    loss = compiled.value - correct / n
    text = f"candidate {correct}/{n} correct, compiled {compiled.value:.1%}: loss {loss:.1%}, p {p:.2g}"
    return Verdict("worse" if p < SIGNIFICANCE else "passed", text, loss, p)


def _flaw(evidence: Evidence, digest: str, vectors: str) -> str:
    if evidence.vectors != vectors or evidence.candidate.digest != digest:
        return "the evidence is of another bundle or other vectors"
    n, candidate, incumbent = evidence.n, evidence.candidate, evidence.incumbent
    lost, won = evidence.only_incumbent_correct, evidence.only_candidate_correct
    if not 0 < n <= CASES_LIMIT:
        return f"the evidence has {n} cases"
    results = [result.correct for result in (candidate, incumbent) if result is not None]
    if any(correct is not None and not 0 <= correct <= n for correct in results):
        return "the evidence counts more correct cases than it has"
    if min(lost, won) < 0 or lost + won > n:
        return "the evidence counts more discordant cases than it has"
    if incumbent is not None and candidate.correct is not None and not _adds_up(evidence):
        return "the evidence's correct and discordant cases do not add up"
    return ""


def _adds_up(evidence: Evidence) -> bool:
    """What both have right is counted the same from either side, and all cases together are no more than there are."""
    candidate, incumbent = evidence.candidate.correct, evidence.incumbent.correct if evidence.incumbent else None
    if candidate is None or incumbent is None:
        return False
    both = candidate - evidence.only_candidate_correct
    one_only = evidence.only_candidate_correct + evidence.only_incumbent_correct
    return both >= 0 and both == incumbent - evidence.only_incumbent_correct and both + one_only <= evidence.n


def upper_tail(n: int, p: float, k: int) -> float:
    """P(X >= k) for X binomial(n, p)."""
    if k <= 0:
        return 1.0
    if k <= n * p:
        return 1.0 - _tail_from(n, 1 - p, n - k + 1)
    return _tail_from(n, p, k)


def lower_tail(n: int, p: float, k: int) -> float:
    """P(X <= k) for X binomial(n, p)."""
    return upper_tail(n, 1 - p, n - k)


def _tail_from(n: int, p: float, k: int) -> float:
    """P(X >= k) where k is above the mean, so that the terms fall and the sum can end early."""
    if k > n or p <= 0:
        return 0.0
    if p >= 1:
        return 1.0
    term = math.exp(
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
    )
    total = 0.0
    while k <= n and term > total * 1e-17:
        total += term
        term *= (n - k) / (k + 1) * p / (1 - p)
        k += 1
    return min(total, 1.0)
