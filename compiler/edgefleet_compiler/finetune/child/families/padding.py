"""Pad with a constant, or by reflection."""

from __future__ import annotations

import tensorflow as tf

from edgefleet_compiler.finetune.child.held import TO_LAST, Held
from edgefleet_compiler.finetune.child.site import Site
from edgefleet_compiler.hub.graph import text

_MODES = {"constant": "CONSTANT", "reflect": "REFLECT"}


def _pad(site: Site) -> list[Held]:
    mode = text(site.node, "mode", "constant")
    if mode not in _MODES:
        site.refuse(f"it pads by {mode!r}")
    given, axes = site.integers(1), [axis % site.rank for axis in site.integers(3)] or list(range(site.rank))
    borders = [(0, 0)] * site.rank
    for place, axis in enumerate(axes):
        borders[axis] = (given[place], given[place + len(axes)])
    if min(min(border) for border in borders) < 0:
        site.refuse("it takes away what it calls padding")
    if borders[0] != (0, 0):
        site.refuse("it works along the batch")
    filling = site.operand(2).constant if site.has(2) else None
    value = 0.0 if filling is None else float(filling.reshape(()))
    if site.is_last:
        moved = [borders[axis] for axis in TO_LAST]
        return [Held(last=tf.pad(site.last(), moved, _MODES[mode], constant_values=value))]
    return [Held(tf.pad(site.plain(), borders, _MODES[mode], constant_values=value))]


FAMILY = {"Pad": _pad}
