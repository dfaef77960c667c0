"""Outlier channels that equalising cannot reach: what gives them is not homogeneous, such as HardSwish."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.diagnose.evidence import layer_of
from edgefleet_compiler.hub.graph import activation_inputs, constant, name_of
from edgefleet_compiler.quantise.calibration.observe import Observations
from edgefleet_compiler.quantise.calibration.watch import channel_axis
from edgefleet_compiler.quantise.channel_rules import FIXED
from edgefleet_compiler.quantise.channels import Weighted, matrix_of, track
from edgefleet_compiler.quantise.outliers import Outlier, outliers_among

_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Unscalable:
    """Outliers of one activation.

    Attributes:
        outliers: Its channels.
        layers: What has to compute in float to be rid of them: from the weighted layer that makes them to the one that
            reads them, by name.
    """

    outliers: list[Outlier]
    layers: tuple[str, ...]


def find_unscalable(hub: ir.Model, seen: Observations) -> Iterator[Unscalable]:
    """The activations of a float hub that have such channels, in the order of the graph."""
    for layer in track(hub.graph).layers:
        value = layer.node.inputs[0]
        if value is None or value.producer() is None or (layer.reads != FIXED).any():
            continue
        outliers = _outliers(layer, value, seen)
        if outliers:
            yield Unscalable(outliers, (*_makers(value), layer_of(layer.node.outputs[0])))


def _outliers(layer: Weighted, value: ir.Value, seen: Observations) -> list[Outlier]:
    found, weights = seen.activations.get(name_of(value)), constant(layer.node.inputs[1])
    assert weights is not None
    strengths = np.sqrt(np.square(matrix_of(layer.node, weights).astype(np.float64)).sum(axis=(0, 2)))
    if found is None or channel_axis(value) is None or found.channel_lows.size != strengths.size:
        return []  # a grouped convolution has as many weights as channels of one group
    lows, highs = (ends.astype(np.float64) for ends in (found.channel_lows, found.channel_highs))
    return outliers_among(name_of(value), np.maximum(highs, 0) - np.minimum(lows, 0), strengths)


def _makers(value: ir.Value) -> list[str]:
    """The layers that a value goes through since the last weighted one, that included, in the order of the graph."""
    names: list[str] = []
    while (producer := value.producer()) is not None:
        name = layer_of(value)
        names += [name] if name not in names else []
        before = activation_inputs(producer)
        if producer.op_type in _WEIGHTED or len(before) != 1:
            break
        value = before[0]
    return names[::-1]
