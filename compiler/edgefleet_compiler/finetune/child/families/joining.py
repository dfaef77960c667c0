"""Concat, Split, Slice and Gather by constant indices: parts of values, along axes other than the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from edgefleet_compiler.finetune.child.held import TO_LAST, Held, Tensor
from edgefleet_compiler.finetune.child.site import Site
from edgefleet_compiler.hub.graph import integer, shape_of


def _concat(site: Site) -> list[Held]:
    axis = integer(site.node, "axis", 0) % len(site.given)
    operands = [operand for operand in site.operands if operand is not None]
    if axis == 0:
        site.refuse("it works along the batch")
    if not all(operand.is_activation for operand in operands):
        site.refuse("it joins constants, which have no batch, to values")
    if any(operand.held.made_last for operand in operands):
        return [Held(last=tf.concat([operand.held.last for operand in operands], TO_LAST.index(axis)))]
    return [Held(tf.concat([operand.held.plain for operand in operands], axis))]


def _split(site: Site) -> list[Held]:
    axis = site.axis(integer(site.node, "axis", 0))
    sizes = [shape_of(output)[axis] for output in site.node.outputs]
    if site.is_last:
        return [Held(last=part) for part in tf.split(site.last(), sizes, TO_LAST.index(axis))]
    return [Held(part) for part in tf.split(site.plain(), sizes, axis)]


def _slice(site: Site) -> list[Held]:
    """Start and end count from the end where they are negative, as in numpy, and are cut to the extent."""
    starts, ends = site.integers(1), site.integers(2)
    axes = site.integers(3) or tuple(range(len(starts)))
    steps = site.integers(4) or (1,) * len(starts)
    parts: list[Any] = [slice(None)] * site.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        extent = site.shape()[axis % site.rank]
        covers = step == 1 and start in (0, -extent) and end >= extent
        if not covers:
            below = step < 0 and end < -extent
            parts[site.axis(axis)] = slice(start, None if below else end, step)
    if site.is_last:
        return [Held(last=site.last()[tuple(parts[axis] for axis in TO_LAST)])]
    return [Held(site.plain()[tuple(parts)])]


def _gather(site: Site) -> list[Held]:
    indices = site.operand(1).constant
    axis = integer(site.node, "axis", 0) % site.rank
    if indices is None or axis == 0:
        site.refuse("it looks up by what it is given")

    def gathered(values: Tensor, axis: int) -> Tensor:
        return tf.gather(values, np.where(indices < 0, indices + site.shape()[axis], indices), axis=axis)

    return [Held(gathered(site.plain(), axis))]


FAMILY = {"Concat": _concat, "Gather": _gather, "Slice": _slice, "Split": _split}
