"""uint8 as TFLite quantised until 2019, as int8: the reals stay, and kernels of today run it.

Stored values and zero points move by 128. Weights then are made symmetric, as the 8-bit specification has them, where
their zero point lets that be: integers minus zero point are the same reals with a zero point of 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from edgefleet_compiler.lowered.coherence import WEIGHTED
from edgefleet_compiler.lowered.graph import LoweredGraph, Quantisation, Tensor

_SHIFT: Final = 128
_UINT8: Final[np.dtype[np.generic]] = np.dtype(np.uint8)
_LARGEST_WEIGHT: Final = 127  # -128 is left out, so that a product of two fits 15 bits


def sign(graph: LoweredGraph) -> bool:
    """Turn every quantised uint8 tensor into int8, in place.

    Weights whose integers minus zero point leave -127..127 keep a zero point; no TFLite kernel takes such.

    Returns:
        Whether there was any.
    """
    unsigned = [tensor for tensor in graph.tensors.values() if tensor.dtype == _UINT8 and tensor.quantisation]
    weights = {
        name
        for operator in graph.operators
        if operator.kind in WEIGHTED
        for name in operator.inputs[1:2]
        if name is not None
    }
    for tensor in unsigned:
        signed = _moved(tensor)
        graph.tensors[tensor.name] = _centred(signed) if tensor.name in weights else signed
    return bool(unsigned)


def asymmetric_weights(graph: LoweredGraph) -> dict[str, str]:
    """The operators whose weights have a zero point other than 0: their kinds by the names of their outputs."""
    return {
        operator.outputs[0]: operator.kind
        for operator in graph.operators
        if operator.kind in WEIGHTED and _has_zero_point(graph.tensors[operator.inputs[1] or ""])
    }


def _moved(tensor: Tensor) -> Tensor:
    assert tensor.quantisation is not None
    quantisation = replace(tensor.quantisation, zero_point=tensor.quantisation.zero_point - _SHIFT)
    data = None if tensor.data is None else (tensor.data.astype(np.int16) - _SHIFT).astype(np.int8)
    return replace(tensor, dtype=np.dtype(np.int8), quantisation=quantisation, data=data)


def _centred(tensor: Tensor) -> Tensor:
    """The same reals with a zero point of 0; itself where they do not fit."""
    quantisation = tensor.quantisation
    assert quantisation is not None
    if tensor.data is None:
        return tensor
    along = [1] * tensor.data.ndim
    if quantisation.per_channel:
        along[quantisation.axis] = -1
    steps = tensor.data.astype(np.int64) - quantisation.zero_point.reshape(along)
    if np.abs(steps).max(initial=0) > _LARGEST_WEIGHT:
        return tensor
    centred = Quantisation(quantisation.scale, np.zeros_like(quantisation.zero_point), quantisation.axis)
    return replace(tensor, quantisation=centred, data=steps.astype(np.int8))


def _has_zero_point(tensor: Tensor) -> bool:
    return tensor.dtype == np.int8 and tensor.quantisation is not None and bool(tensor.quantisation.zero_point.any())
