"""Operators that give the same elements another shape or order of axes; the batch stays in front."""

from __future__ import annotations

import tensorflow as tf

from edgefleet_compiler.finetune.child.held import TO_FIRST, TO_LAST, Held
from edgefleet_compiler.finetune.child.site import Site
from edgefleet_compiler.hub.graph import integers


def _reshape(site: Site) -> list[Held]:
    if site.given[:1] != (1,):
        site.refuse("it works along the batch")
    return [Held(tf.reshape(site.plain(), (-1, *site.given[1:])))]


def _transpose(site: Site) -> list[Held]:
    order = integers(site.node, "perm") or tuple(reversed(range(site.rank)))
    if order[0] != 0:
        site.refuse("it moves the batch")
    # Between the two forms of images nothing has to be moved.
    if order == TO_FIRST:
        return [Held(last=site.plain())]
    if order == TO_LAST:
        return [Held(site.last())]
    return [Held(tf.transpose(site.plain(), order))]


FAMILY = {**dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshape), "Transpose": _transpose}
