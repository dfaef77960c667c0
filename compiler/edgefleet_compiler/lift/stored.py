"""What of a quantised graph stays integers in the hub: constants behind a DequantizeLinear, activations in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from edgefleet_compiler.four_bits import INT4
from edgefleet_compiler.lowered.coherence import NARROW
from edgefleet_compiler.lowered.graph import LoweredGraph, Quantisation, Tensor

# Element types of constants that DequantizeLinear takes (ONNX operator specification, opset 21).
_STORABLE: Final = NARROW | {INT4, np.dtype(np.int32)}


def stored_constants(graph: LoweredGraph) -> dict[str, Tensor]:
    """The constants of a quantised graph that stay integers in the hub, by name."""
    return {
        tensor.name: tensor
        for tensor in graph.constants()
        if tensor.quantisation is not None and tensor.dtype in _STORABLE
    }


def stored_activations(graph: LoweredGraph) -> dict[str, Tensor]:
    """The activations that are rounded to integers, by name.

    An int32 activation is left out: it is an output in finer steps than anything before it.
    """
    return {
        tensor.name: tensor
        for tensor in graph.tensors.values()
        if tensor.quantisation is not None and not tensor.is_constant and tensor.dtype in NARROW
    }


def transposed(tensor: Tensor, axes: Sequence[int]) -> Tensor:
    """A quantised constant with its axes permuted; the channels that have scales of their own go with their axis."""
    assert tensor.data is not None
    assert tensor.quantisation is not None
    quantisation = tensor.quantisation
    if quantisation.per_channel:
        quantisation = Quantisation(quantisation.scale, quantisation.zero_point, list(axes).index(quantisation.axis))
    data = tensor.data.transpose(axes)
    return replace(tensor, shape=data.shape, data=data, quantisation=quantisation)
