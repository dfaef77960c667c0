"""What a pass reports of itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Effects = Counter[str]
"""How often a pass did what: the keys are sentences with ``{}`` where the count goes."""


@dataclass(frozen=True)
class PassRecord:
    """One pass as it stands in a report.

    Attributes:
        name: The pass.
        seconds: Time it took, all rounds together.
        effect: What it did, for example ``folded 9 BatchNormalization into Conv``; "no change" if nothing.
    """

    name: str
    seconds: float
    effect: str


def describe(effects: Effects) -> str:
    """The effects as one line of text."""
    return "; ".join(sentence.format(count) for sentence, count in effects.items()) or "no change"


@contextmanager
def recorded(records: list[PassRecord], name: str, effect: str) -> Iterator[None]:
    """Note what is done meanwhile, with the seconds that it takes."""
    start = time.perf_counter()
    yield
    records.append(PassRecord(name, time.perf_counter() - start, effect))
