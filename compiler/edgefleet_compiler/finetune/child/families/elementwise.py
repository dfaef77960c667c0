"""Operators whose operands broadcast."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import tensorflow as tf

from edgefleet_compiler.finetune.child.held import Held, Tensor
from edgefleet_compiler.finetune.child.site import Site

_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": tf.add,
    "Div": tf.divide,
    "Max": tf.maximum,
    "Min": tf.minimum,
    "Mul": tf.multiply,
    "PRelu": lambda x, slope: tf.maximum(x, 0.0) + slope * tf.minimum(x, 0.0),
    "Pow": tf.pow,
    "Sub": tf.subtract,
}


def _binary(site: Site) -> list[Held]:
    function = _BINARY[site.node.op_type]
    return [site.broadcast(lambda *operands: reduce(function, operands))]


FAMILY = dict.fromkeys(_BINARY, _binary)
