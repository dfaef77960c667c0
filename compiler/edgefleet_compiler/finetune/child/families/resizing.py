"""Resize by whole factors, to the nearest element."""

from __future__ import annotations

import tensorflow as tf

from edgefleet_compiler.finetune.child.held import Held
from edgefleet_compiler.finetune.child.site import Site
from edgefleet_compiler.hub.graph import text


def _resize(site: Site) -> list[Held]:
    mode = text(site.node, "mode", "nearest")
    if mode != "nearest":
        site.refuse(f"it interpolates: {mode}")
    factors = [out / size for out, size in zip(site.given, site.shape(), strict=True)]
    if site.rank != 4 or factors[:2] != [1, 1] or not all(factor.is_integer() for factor in factors):
        site.refuse("it does not enlarge images by whole factors")
    # By whole factors nearly all ways to find the nearest element repeat each; others are refused by what they compute.
    rows = tf.repeat(site.last(), int(factors[2]), axis=1)
    return [Held(last=tf.repeat(rows, int(factors[3]), axis=2))]


FAMILY = {"Resize": _resize}
