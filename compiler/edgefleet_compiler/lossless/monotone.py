"""Bounds of operators that never turn back: their results at the ends of their operands' intervals.

The ends go through the emulator's kernels in every dialect, at the operator's full shape, since a kernel may round
elements of one tensor in two ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.emulate.kernels import KERNELS
from edgefleet_compiler.emulate.rounding import Dialect
from edgefleet_compiler.emulate.site import Site
from edgefleet_compiler.lossless.interval import NEAR, Interval
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_contract.errors import ModelMalformed, OperatorUnsupported

_Reals = NDArray[np.float64]

# What each computes on reals: each grows or falls with each operand all the way.
_ON_REALS: Final[dict[str, Callable[..., _Reals]]] = {
    "ADD": np.add,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "MUL": np.multiply,
    "RELU": lambda real: np.maximum(real, 0.0),
    "RELU6": lambda real: np.clip(real, 0.0, 6.0),
    "SUB": np.subtract,
}
KINDS: Final = frozenset(_ON_REALS)


def at_the_ends(graph: LoweredGraph, operator: Operator, found: Mapping[str, Interval]) -> Interval | None:
    """The interval of an operator of ``KINDS``; None where an operand is unknown, or a kernel does not take it."""
    operands = [graph.tensors[str(name)] for name in operator.inputs]
    if any(tensor.data is None and tensor.name not in found for tensor in operands):
        return None
    try:
        kernels = [KERNELS[operator.kind](Site(graph, operator, dialect)) for dialect in Dialect]
        corners = list(product(*(_ends(tensor, found) for tensor in operands)))
        results = [kernel([end[None] for end in corner])[0] for corner in corners for kernel in kernels]
    except (ModelMalformed, OperatorUnsupported):
        return None
    results += [near for corner in corners for near in _near(graph, operator, operands, corner)]
    by_channel = [result.reshape(-1, result.shape[-1]).astype(np.int64) for result in results]
    return Interval(
        np.min([result.min(axis=0) for result in by_channel], axis=0),
        np.max([result.max(axis=0) for result in by_channel], axis=0),
    )


def _ends(tensor: Tensor, found: Mapping[str, Interval]) -> list[NDArray[Any]]:
    """The least and the largest that a tensor holds, of its shape; of a constant its value."""
    if tensor.data is not None:
        return [tensor.data]
    interval = found[tensor.name]
    return [np.broadcast_to(end, tensor.shape).astype(np.int8) for end in (interval.low, interval.high)]


def _near(
    graph: LoweredGraph, operator: Operator, operands: list[Tensor], corner: tuple[NDArray[Any], ...]
) -> list[NDArray[Any]]:
    """What a kernel that is not emulated may make of a corner."""
    reals = [_real(tensor, end) for tensor, end in zip(operands, corner, strict=True)]
    output = graph.tensors[operator.outputs[0]].quantisation
    assert output is not None
    steps = _ON_REALS[operator.kind](*reals) / float(output.scale[0]) + int(output.zero_point[0])
    return [np.clip(np.rint(steps + aside), -128, 127) for aside in (-NEAR, NEAR)]


def _real(tensor: Tensor, stored: NDArray[Any]) -> _Reals:
    assert tensor.quantisation is not None
    scale, zero_point = float(tensor.quantisation.scale[0]), int(tensor.quantisation.zero_point[0])
    return scale * (stored.astype(np.float64) - zero_point)
