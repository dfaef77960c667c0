"""What became of each rung: for the report, and for the table that the command prints."""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal[
    "shipped", "not needed", "inaccurate", "over budget", "slower", "without effect", "impossible", "refused"
]

_UNFIT: tuple[Outcome, ...] = ("impossible", "inaccurate", "slower", "without effect")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of the ladder.

    Attributes:
        rung: Its name.
        recipe: The scheme that was applied; None where no artifact was made: its costs are reckoned then.
        bytes: Of the artifact; None as above.
        peak_ram_bytes: What an inference takes of the target's memory; None where no planner takes the model.
        macs: Multiply-accumulates of one inference; None as above.
        sqnr_db: Of its outputs against the source; None as above, or without noise or signal.
        accuracy: By the metric of the report; None where it was not measured.
        drop: Loss of accuracy against the source, a fraction; None as above.
        speed_ratio: How many times faster than the float model, by the target's own evidence; None without any.
        outcome: shipped: the artifact that was written; not needed: good enough, and no better than what was shipped;
            inaccurate, slower: than allowed, than float; over budget: a limit is not kept, or could not be; without
            effect: nothing in the model is changed; impossible: no artifact could be made; refused: what came nearest,
            and why nothing is shipped.
        why: In words, where it was not shipped.
    """

    rung: str
    recipe: str | None = None
    bytes: int | None = None
    peak_ram_bytes: int | None = None
    macs: int | None = None
    sqnr_db: float | None = None
    accuracy: float | None = None
    drop: float | None = None
    speed_ratio: float | None = None
    outcome: Outcome
    why: str

    @property
    def warning(self) -> str | None:
        """Why the rung was not good enough, as a sentence; None for one that was, or that came nearest."""
        return f"{self.rung} is not used: {self.why.rstrip('.')}." if self.outcome in _UNFIT else None
