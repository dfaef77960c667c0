"""What a diagnosis says of a layer."""

from __future__ import annotations

from typing import Literal

import msgspec

Cause = Literal[
    "outlier channel",
    "saturation",
    "dead scale",
    "range lost to a rare input",
    "calibration too small",
    "calibration unlike other cases",
]


class Spread(msgspec.Struct, frozen=True):
    """The values of an activation over some calibration cases, and the range that int8 has for them.

    Attributes:
        edges: Bounds of the bins, ascending, one more than ``counts``.
        counts: Values in each bin.
        before: Low and high end of the range.
        after: The same with the remedy; None without one.
    """

    edges: list[float]
    counts: list[int]
    before: tuple[float, float]
    after: tuple[float, float] | None


class Finding(msgspec.Struct, frozen=True):
    """One layer that int8 serves badly, why, and what helps.

    Attributes:
        layer: Its name in the source; of an input, the input's.
        activation: What it gives, by its name in the hub, as recipes have it.
        cause: In a word.
        evidence: The figures that say so.
        channel: The outlier, by its place on the channel axis; None for other causes.
        remedy: What was tried, in the words of recipes where they have any.
        before_db: SQNR of the model's outputs against the float hub without the remedy, nor any other: with weights
            rounded to the nearest, and biases not corrected. So it is not the artifact's own. None without noise or
            signal.
        after_db: The same with the remedy alone.
        spread: The activation's values and ranges.
    """

    layer: str
    activation: str
    cause: Cause
    evidence: str
    channel: int | None
    remedy: str
    before_db: float | None
    after_db: float | None
    spread: Spread

    @property
    def gain_db(self) -> float:
        """What the remedy brings; 0 where it cannot be told."""
        return 0.0 if self.before_db is None or self.after_db is None else self.after_db - self.before_db
