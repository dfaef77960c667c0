"""Permutations of axes, as ``numpy.transpose`` takes them: axis i of the result is axis p[i] of the argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Permutation = tuple[int, ...]
T = TypeVar("T")


def identity(rank: int) -> Permutation:
    """The permutation that changes nothing."""
    return tuple(range(rank))


def compose(first: Permutation, second: Permutation) -> Permutation:
    """``x.transpose(first).transpose(second) == x.transpose(compose(first, second))``."""
    return tuple(first[axis] for axis in second)


def inverse(permutation: Permutation) -> Permutation:
    """The permutation that undoes this one; also: where each old axis went."""
    result = [0] * len(permutation)
    for position, axis in enumerate(permutation):
        result[axis] = position
    return tuple(result)


def permuted(items: Sequence[T], permutation: Permutation) -> tuple[T, ...]:
    """The items (dimensions, pads, …) in the order of the transposed axes."""
    return tuple(items[axis] for axis in permutation)


def keeps_element_order(shape: Sequence[int], permutation: Permutation) -> bool:
    """Whether transposing moves only axes of size 1, so that the elements lie in memory as before."""
    moving = [axis for axis in permutation if shape[axis] != 1]
    return moving == sorted(moving)
