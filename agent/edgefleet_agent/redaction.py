"""Redaction hooks: what the device's owner has taken out of samples before anybody sees them.

A hook is ``drop-input:NAME``, ``clip:LOW:HIGH`` or ``MODULE:FUNCTION`` of a module that is installed on the device.
They run in a child of their own (``child.sampling``), in the order in which the setting ``redact`` names them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

from edgefleet_contract.errors import UsageMalformed


@dataclass(frozen=True)
class DropInput:
    """Leave an input out."""

    name: str


@dataclass(frozen=True)
class Clip:
    """Bring values into a range."""

    low: float
    high: float


@dataclass(frozen=True)
class Custom:
    """A function of the owner's: it takes the inputs by name and gives what may be sent; None sends nothing."""

    module: str
    function: str


Hook: TypeAlias = DropInput | Clip | Custom
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def parse_hooks(text: str) -> list[Hook]:
    """The hooks that a setting names, separated by commas.

    Raises:
        UsageMalformed: One is none: nothing is sampled with a redaction that was not understood.
    """
    return [_parse(word.strip()) for word in text.split(",") if word.strip()]


def _parse(word: str) -> Hook:
    kind, _, rest = word.partition(":")
    if kind == "drop-input" and rest:
        return DropInput(rest)
    if kind == "clip":
        low, _, high = rest.partition(":")
        try:
            limits = Clip(float(low), float(high))
        except ValueError:
            limits = Clip(math.nan, math.nan)
        if limits.low <= limits.high:
            return limits
    elif _FUNCTION.fullmatch(word):
        return Custom(kind, rest)
    raise UsageMalformed(
        f"The redaction hook is {word!r}", expected="drop-input:NAME, clip:LOW:HIGH or MODULE:FUNCTION"
    )
