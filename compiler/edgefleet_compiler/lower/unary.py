"""Elementwise operators of one operand that TFLite has under another name, and Softplus, which it has not."""

from __future__ import annotations

from typing import Final

import numpy as np

from edgefleet_compiler.lower.site import Site

KINDS: Final = {
    "Abs": "ABS",
    "Ceil": "CEIL",
    "Cos": "COS",
    "Exp": "EXP",
    "Floor": "FLOOR",
    "HardSwish": "HARD_SWISH",
    "Log": "LOG",
    "Neg": "NEG",
    "Not": "LOGICAL_NOT",
    "Round": "ROUND",
    "Sigmoid": "LOGISTIC",
    "Sign": "SIGN",
    "Sin": "SIN",
    "Sqrt": "SQRT",
    "Tanh": "TANH",
}


def lower_unary(site: Site) -> None:
    """Lower an operator of the table."""
    site.finish(KINDS[site.node.op_type], [site.input()])


def lower_leaky_relu(site: Site) -> None:
    """Lower LeakyRelu."""
    site.finish("LEAKY_RELU", [site.input()], {"alpha": site.node.attributes.get_float("alpha", 0.01)})


def lower_gelu(site: Site) -> None:
    """Lower Gelu, exact or by its approximation with tanh."""
    approximate = site.node.attributes.get_string("approximate", "none") == "tanh"
    site.finish("GELU", [site.input()], {"approximate": approximate})


def lower_elu(site: Site) -> None:
    """Lower Elu: TFLite's ELU has alpha = 1, so that others scale the part below zero of its own."""
    tensor = site.input()
    alpha = site.node.attributes.get_float("alpha", 1.0)
    if alpha == 1.0:
        site.finish("ELU", [tensor])
        return
    shape = site.stored_shape(tensor)
    below = site.emit("MINIMUM", [tensor, site.add_like_output("zero", np.float32(0))], shape)
    scaled = site.emit(
        "MUL", [site.emit("ELU", [below], shape), site.add_like_output("alpha", np.float32(alpha))], shape
    )
    site.finish("ADD", [site.emit("RELU", [tensor], shape), scaled])


def lower_softplus(site: Site) -> None:
    """Lower Softplus as max(x, 0) + log(1 + exp(-abs(x))), whose exponential cannot overflow."""
    tensor = site.input()
    shape = site.stored_shape(tensor)
    magnitude = site.emit("ABS", [tensor], shape)
    decayed = site.emit("EXP", [site.emit("NEG", [magnitude], shape)], shape)
    raised = site.emit("ADD", [decayed, site.add_like_output("one", np.float32(1))], shape)
    site.finish("ADD", [site.emit("RELU", [tensor], shape), site.emit("LOG", [raised], shape)])
