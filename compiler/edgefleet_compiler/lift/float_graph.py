"""A graph as if it were float throughout: what lifters look at, whatever its integers stand for."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lowered.graph import LoweredGraph, Quantisation, Tensor

_FLOAT32: Final[np.dtype[np.generic]] = np.dtype(np.float32)


def float_graph(graph: LoweredGraph) -> LoweredGraph:
    """The same computation on float32.

    Quantised and float16 constants become float32, which is what a runtime makes of them before (DEQUANTIZE) or while
    (hybrid kernels) it computes; DEQUANTIZE of a constant becomes that constant. Quantised activations are float32;
    that they are rounded is left to the pairs behind them.

    Args:
        graph: Left as it is; tensors that need no change are shared with the result.
    """
    result = LoweredGraph(inputs=list(graph.inputs), outputs=list(graph.outputs))
    result.tensors = {name: _as_float(tensor) for name, tensor in graph.tensors.items()}
    for operator in graph.operators:
        source = result.tensors[operator.inputs[0]] if operator.inputs and operator.inputs[0] is not None else None
        if operator.kind == "DEQUANTIZE" and source is not None and source.data is not None:
            name = operator.outputs[0]
            result.tensors[name] = Tensor(name, source.shape, source.dtype, data=source.data)
        else:
            result.operators.append(operator)
    return result


def _as_float(tensor: Tensor) -> Tensor:
    if tensor.quantisation is not None:
        data = None if tensor.data is None else dequantised(tensor.data, tensor.quantisation)
        return replace(tensor, dtype=_FLOAT32, quantisation=None, data=data)
    if tensor.dtype == np.float16:
        return replace(tensor, dtype=_FLOAT32, data=None if tensor.data is None else tensor.data.astype(np.float32))
    return tensor


def dequantised(stored: NDArray[np.generic], quantisation: Quantisation) -> NDArray[np.float32]:
    """The reals that stored integers stand for, float32: scale * (stored - zero_point).

    Args:
        stored: Integers of any shape.
        quantisation: Theirs.
    """
    along = [1] * stored.ndim
    if quantisation.per_channel:
        along[quantisation.axis] = -1
    zero_point = quantisation.zero_point.reshape(along)
    scale = quantisation.scale.reshape(along)
    with np.errstate(over="ignore"):  # infinite weights are refused by name, after all operators are lifted
        reals = (stored.astype(np.int64) - zero_point) * scale.astype(np.float64)
        return reals.astype(np.float32)
