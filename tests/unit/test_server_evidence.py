"""The judgement of evidence against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from math import comb
from typing import Any

import msgspec
import pytest

from edgefleet_contract.manifest import Measured
from edgefleet_contract.messages import Evidence, VectorsResult
from edgefleet_server.rollouts.evidence import CASES_LIMIT, Verdict, judge, lower_tail, upper_tail

NEW, OLD, VECTORS = "a" * 64, "b" * 64, "c" * 64
COMPILED = Measured("top1", 0.95, 500)


def paired(n: int, incumbent: int, lost: int, won: int = 0) -> Evidence:
    return Evidence(
        sequence=1, phase="trial", vectors=VECTORS, n=n,
        candidate=VectorsResult(NEW, "0" * 64, incumbent - lost + won),
        incumbent=VectorsResult(OLD, "1" * 64, incumbent),
        only_candidate_correct=won, only_incumbent_correct=lost,
    )  # fmt: skip


def alone(n: int, correct: int | None) -> Evidence:
    return Evidence(sequence=1, phase="trial", vectors=VECTORS, n=n, candidate=VectorsResult(NEW, "0" * 64, correct))


def judged(evidence: Evidence, compiled: Measured | None = COMPILED) -> Verdict:
    return judge(evidence, digest=NEW, vectors=VECTORS, compiled=compiled)


@pytest.mark.parametrize(
    ("evidence", "finding"),
    [
        (paired(100, 95, 0), "passed"),
        (paired(100, 95, 6), "passed"),  # p = 1/64: not significant
        (paired(100, 95, 7), "worse"),  # p = 1/128
        (paired(100, 90, 10, 5), "passed"),  # it also gained: p = 0.15
        (paired(100, 90, 16, 3), "worse"),  # p = 0.0022
        (paired(1000, 900, 15), "passed"),  # p = 3e-5, yet 1.5 % is not worth a halt
        (paired(1000, 900, 25), "worse"),
        (paired(100, 50, 0, 40), "passed"),  # it is better
        (alone(100, 95), "passed"),
        (alone(100, 84), "passed"),  # p = 0.04 against 95 % less 5 points
        (alone(100, 81), "worse"),  # p = 0.005
        (alone(100, None), "unlabelled"),
    ],
)
def test_worse_is_both_significant_and_large(evidence: Evidence, finding: str) -> None:
    assert judged(evidence).finding == finding


@pytest.mark.parametrize("compiled", [None, Measured("mse", 0.01, 500)])
def test_without_a_top1_measurement_a_first_release_cannot_be_judged(compiled: Measured | None) -> None:
    assert judged(alone(100, 0), compiled).finding == "unlabelled"


@pytest.mark.parametrize(
    "changed",
    [
        {"vectors": "d" * 64},
        {"candidate": VectorsResult(OLD, "0" * 64, 95)},
        {"n": 0},
        {"n": -1},
        {"n": CASES_LIMIT + 1},
        {"n": 1 << 62},
        {"candidate": VectorsResult(NEW, "0" * 64, 101)},
        {"candidate": VectorsResult(NEW, "0" * 64, -1)},
        {"incumbent": VectorsResult(OLD, "1" * 64, 101)},
        {"incumbent": VectorsResult(OLD, "1" * 64, None)},
        {"only_incumbent_correct": -1},
        {"only_incumbent_correct": 60, "only_candidate_correct": 60},
        {"only_incumbent_correct": 30},  # 95 and 95 right cannot differ by 30
        {"candidate": VectorsResult(NEW, "0" * 64, 5), "incumbent": VectorsResult(OLD, "1" * 64, 5),
         "only_incumbent_correct": 40, "only_candidate_correct": 40},
    ],
)  # fmt: skip
def test_evidence_that_contradicts_itself_is_no_evidence(changed: dict[str, Any]) -> None:
    assert judged(msgspec.structs.replace(paired(100, 95, 0), **changed)).finding == "invalid"


@pytest.mark.parametrize(("n", "p"), [(1, 0.5), (20, 0.5), (50, 0.9), (50, 0.02), (200, 0.35)])
def test_tails_are_those_of_exact_arithmetic(n: int, p: float) -> None:
    exact_p = Fraction(p)
    mass = [comb(n, k) * exact_p**k * (1 - exact_p) ** (n - k) for k in range(n + 1)]
    below = list(accumulate(mass))
    for k in range(n + 1):
        assert lower_tail(n, p, k) == pytest.approx(float(below[k]), rel=1e-9, abs=1e-300)
        assert upper_tail(n, p, k) == pytest.approx(float(1 - below[k] + mass[k]), rel=1e-9, abs=1e-300)


def test_tails_at_the_edges() -> None:
    assert upper_tail(0, 0.5, 0) == 1
    assert lower_tail(10, 0.0, 0) == 1
    assert lower_tail(10, 1.0, 9) == 0
    assert upper_tail(CASES_LIMIT, 0.5, CASES_LIMIT) == 0  # 2**-100000 is no double
