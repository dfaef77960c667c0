"""Activations: as operators, and fused into others."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.hub import shape_of
from edgefleet_compiler.lift.site import Site, Unliftable

_SIMPLE: Final = {"RELU": "Relu", "LOGISTIC": "Sigmoid", "TANH": "Tanh"}
_CLIPS: Final = {"RELU6": (0.0, 6.0), "RELU_0_TO_1": (0.0, 1.0), "RELU_N1_TO_1": (-1.0, 1.0)}


def lift_activation(site: Site) -> ir.Value:
    """RELU, RELU6, RELU_0_TO_1, RELU_N1_TO_1, LOGISTIC, TANH."""
    return _applied(site, site.kind, site.value(0), label="")


def lift_leaky_relu(site: Site) -> ir.Value:
    """LEAKY_RELU."""
    return site.emit("LeakyRelu", [site.value(0)], site.tensor(0).shape, {"alpha": site.option("alpha")})


def fused_activation(site: Site, value: ir.Value) -> ir.Value:
    """``value`` after the operator's ``fused_activation_function``, which becomes a node of its own.

    Raises:
        Unliftable: An activation that no kernel implements (SIGN_BIT).
    """
    kind: str = site.option("fused_activation_function")
    return value if kind == "NONE" else _applied(site, kind, value, label=kind)


def _applied(site: Site, kind: str, value: ir.Value, label: str) -> ir.Value:
    shape = shape_of(value)
    if kind in _SIMPLE:
        return site.emit(_SIMPLE[kind], [value], shape, label=label)
    if kind not in _CLIPS:
        raise Unliftable(f"its fused activation is {kind}")
    bounds = [
        site.constant(f"{kind}/{end}", np.array(bound, dtype=np.float32))
        for end, bound in zip(("min", "max"), _CLIPS[kind], strict=True)
    ]
    return site.emit("Clip", [value, *bounds], shape, label=label)
