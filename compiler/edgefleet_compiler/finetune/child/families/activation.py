"""Operators that map each element on its own, and Softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from edgefleet_compiler.finetune.child.held import Held, Tensor
from edgefleet_compiler.finetune.child.site import Site
from edgefleet_compiler.hub.graph import integer, real, text

_ROOT_2 = float(np.sqrt(2.0))
_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875  # the defaults of ONNX


def _gelu(node: ir.Node) -> Callable[[Tensor], Tensor]:
    approximate = text(node, "approximate", "none") == "tanh"
    return lambda x: tf.nn.gelu(x, approximate=approximate)


def _selu(node: ir.Node) -> Callable[[Tensor], Tensor]:
    alpha, gamma = real(node, "alpha", _SELU_ALPHA), real(node, "gamma", _SELU_GAMMA)
    return lambda x: gamma * tf.where(x > 0, x, alpha * (tf.exp(tf.minimum(x, 0.0)) - 1))


def _elu(node: ir.Node) -> Callable[[Tensor], Tensor]:
    alpha = real(node, "alpha", 1.0)
    return lambda x: tf.where(x > 0, x, alpha * (tf.exp(tf.minimum(x, 0.0)) - 1))


def _leaky(node: ir.Node) -> Callable[[Tensor], Tensor]:
    alpha = real(node, "alpha", 0.01)
    return lambda x: tf.nn.leaky_relu(x, alpha)


def _always(function: Callable[[Tensor], Tensor]) -> Callable[[ir.Node], Callable[[Tensor], Tensor]]:
    return lambda _: function


_UNARY: dict[str, Callable[[ir.Node], Callable[[Tensor], Tensor]]] = {
    "Abs": _always(tf.abs),
    "Elu": _elu,
    "Erf": _always(tf.math.erf),
    "Exp": _always(tf.exp),
    "Gelu": _gelu,
    "HardSwish": _always(lambda x: x * tf.clip_by_value(x / 6 + 0.5, 0.0, 1.0)),
    "Identity": _always(tf.identity),
    "LeakyRelu": _leaky,
    "Log": _always(tf.math.log),
    "Mish": _always(lambda x: x * tf.tanh(tf.math.softplus(x))),
    "Neg": _always(tf.negative),
    "Reciprocal": _always(tf.math.reciprocal),
    "Relu": _always(tf.nn.relu),
    "Selu": _selu,
    "Sigmoid": _always(tf.sigmoid),
    "Softplus": _always(tf.math.softplus),
    "Sqrt": _always(tf.sqrt),
    "Tanh": _always(tf.tanh),
}


def _unary(site: Site) -> list[Held]:
    return [site.mapped(_UNARY[site.node.op_type](site.node))]


def _clip(site: Site) -> list[Held]:
    bounds: list[Any] = [None, None]
    for index in (1, 2):
        if site.has(index):
            bounds[index - 1] = site.operand(index).constant
            if bounds[index - 1] is None:
                site.refuse("its bounds are computed")
    low, high = (-np.inf if bounds[0] is None else bounds[0]), (np.inf if bounds[1] is None else bounds[1])
    return [site.mapped(lambda x: tf.clip_by_value(x, float(low), float(high)))]


def _softmax(site: Site) -> list[Held]:
    function = tf.nn.log_softmax if site.node.op_type == "LogSoftmax" else tf.nn.softmax
    return [site.along(integer(site.node, "axis", -1), lambda x, axis: function(x, axis=axis))]


FAMILY = {**dict.fromkeys(_UNARY, _unary), "Clip": _clip, "Softmax": _softmax, "LogSoftmax": _softmax}
