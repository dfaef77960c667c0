"""Which elements of an ADD LiteRT takes several at once, and how it rounds their inputs then.

TFLite's ``optimized/integer_ops/add.h`` as built with vector instructions, and ``reference/process_broadcast_shapes.h``
for how far one run of elements goes. What is left of a run is computed one by one, as in ``elementwise``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.emulate.rounding import Integers, Multiplier, divide_half_up
from edgefleet_compiler.emulate.site import Site

LEFT_SHIFT: Final = {"int8": 20, "int16": 15}
"""How far inputs are shifted left before they are brought to a common scale, by element type."""

_OF_PAIRS: Final = 16  # elements at once where both inputs have one each
_OF_ONE: Final = 8  # elements at once where one of the first input goes with all of them


@dataclass(frozen=True)
class AddedAtOnce:
    """Elements that are added several at once.

    Attributes:
        mask: Of the output's shape.
        left: How far inputs are shifted left.
        truncates: Whether an input is shifted right after its multiplication, and not before.
    """

    mask: NDArray[np.bool_]
    left: int
    truncates: bool = False

    def scaled(self, centred: Integers, multiplier: Multiplier) -> Integers:
        """An input at the common scale."""
        shift = int(multiplier.shift)
        if self.truncates:
            return divide_half_up((centred << self.left) * multiplier.fraction, 31) >> -shift
        left = self.left + shift
        return divide_half_up((centred << max(left, 0) >> max(-left, 0)) * multiplier.fraction, 31)


def added_at_once(site: Site) -> AddedAtOnce:
    """What is added at once of an ADD of int8 or int16."""
    shape, dtype = site.output.shape, site.output.dtype
    first, second = (_extended(site.input(position).shape, len(shape)) for position in (0, 1))
    left = LEFT_SHIFT[dtype.name]
    if first == second:
        return AddedAtOnce(_in_runs(shape, prod(shape), _OF_PAIRS), left)
    if dtype != np.int8 or not _in_five_folds(first, second):
        return AddedAtOnce(np.zeros(shape, np.bool_), left)
    outer = len(shape) - _trailing(first, second)
    inner = prod(shape[outer:])
    if inner > 1:
        return AddedAtOnce(_in_runs(shape, inner, _OF_PAIRS), left)
    repeated = _repeated(first[:outer], second[:outer])
    return AddedAtOnce(_in_runs(shape, prod(shape[outer - repeated : outer]), _OF_ONE), left, truncates=True)


def _in_runs(shape: tuple[int, ...], run: int, lanes: int) -> NDArray[np.bool_]:
    places: NDArray[Any] = np.arange(prod(shape)) % run
    return (places < run // lanes * lanes).reshape(shape)


def _extended(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (*(1,) * (rank - len(shape)), *shape)


def _trailing(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """How many of the last axes are alike in both."""
    alike = [one == other for one, other in zip(first, second, strict=True)][::-1]
    return alike.index(False) if False in alike else len(alike)


def _repeated(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """How many of the last axes are 1 in the input whose last axis is."""
    alone = (first if first[-1] == 1 else second)[::-1]
    return next((count for count, size in enumerate(alone) if size != 1), len(alone))


def _in_five_folds(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Whether axes go: alike, repeated of one input, alike, repeated of the other, alike."""
    for _ in range(2):
        outer = len(first) - _trailing(first, second)
        if not outer:
            return True
        first, second = first[:outer], second[:outer]
        inner = outer - _repeated(first, second)
        first, second = first[:inner], second[:inner]
    return first == second
