"""Sums of two products that leave 16 bits: what an x86 processor without VNNI does to int8, and weights that avoid it.

There onnxruntime multiplies unsigned activations by signed weights with VPMADDUBSW, which adds the products of two
neighbours in 16 bits and saturates (Intel SDM, volume 2, "PMADDUBSW"). With activations of 0..255, a pair whose weights
add up to 128 stays within 255 * 128 = 32,640, and to -128 within -32,640; one more, and 32,895 would not fit. Rounding
one weight of a pair down now and then, or a slightly wider scale where many would have to be, costs far less than
weights of 7 bits.

Neighbours are those of onnxruntime's matrix product: of a convolution, input channels vary fastest, then columns and
rows of the kernel; products begin with a pair, and an odd last weight stands alone. Depthwise convolutions multiply in
32 bits. The tests hold this against onnxruntime in an emulated processor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.quantise.parameters import HIGHEST, Floats

LARGEST_PAIR: Final = 128
"""What the weights of a pair may add up to, in magnitude."""

_STEPS: Final = 16  # between a channel's own scale and the one at which all its pairs fit

Rows = NDArray[np.float64]


def multiplies_pairs(node: ir.Node) -> bool:
    """Whether a layer with weights is a matrix product; a depthwise convolution is none."""
    weights = node.inputs[1]
    assert weights is not None
    assert weights.shape is not None
    return node.op_type != "Conv" or node.attributes.get_int("group", 1) != weights.shape[0] or weights.shape[1] != 1


def pairs_fit(integers: NDArray[np.int8], operator: str) -> NDArray[np.bool_]:
    """Which output channels have only pairs that fit 16 bits.

    Args:
        integers: Weights as ``Conv``, ``Gemm`` (output channels first) or ``MatMul`` has them.
        operator: Which of these.

    Returns:
        Shape (channels,); of a stack of matrices, (matrices * channels,).
    """
    sums = _pair_sums(_rows(integers, operator))
    fit: NDArray[np.bool_] = np.abs(sums).max(axis=1, initial=0) <= LARGEST_PAIR
    return fit


def product_order(node: ir.Node) -> NDArray[np.intp]:
    """The inputs of an output channel, counted as its weights hold them, in the order of the matrix product."""
    weights = node.inputs[1]
    assert weights is not None
    shape = shape_of(weights)
    if node.op_type != "Conv":
        return np.arange(shape[-2] if node.op_type == "MatMul" else shape[1])
    return np.moveaxis(np.arange(math.prod(shape[1:])).reshape(shape[1:]), 0, -1).reshape(-1)


def narrowed_scales(weights: Floats, scales: Floats, operator: str) -> Floats:
    """Scales at which the weights, rounded by ``quantise_narrow``, have the least mean square error.

    Args:
        weights: As above.
        scales: One for each output channel, or one; the smallest that may be used.
        operator: As above.

    Returns:
        The scales, those of channels widened that have pairs which do not fit.
    """
    rows, own = _rows(weights, operator), _column(scales)
    sums = np.abs(_pair_sums(_nearest(rows / own))).max(axis=1, initial=0)
    widest = np.maximum(sums / LARGEST_PAIR, 1.0)
    if not scales.ndim:
        widest[:] = widest.max()
    wanting = np.flatnonzero(widest > 1)
    if not len(wanting):
        return scales
    rows, widest = rows[wanting], widest[wanting, np.newaxis]
    own = own[wanting] if scales.ndim else own
    errors, factors = [], []
    for step in np.linspace(0.0, 1.0, _STEPS + 1):
        factor = 1 + step * (widest - 1)
        tried = (own * factor).astype(np.float32).astype(np.float64)
        errors.append(np.square(fitted(rows / tried) * tried - rows).sum(axis=1))
        factors.append(factor[:, 0])
    found = np.array(scales, np.float64)
    if scales.ndim:
        best = np.argmin(errors, axis=0)
        found[wanting] *= np.array(factors)[best, np.arange(len(wanting))]
    else:
        found *= factors[int(np.argmin(np.sum(errors, axis=1)))][0]
    return found.astype(np.float32)


def quantise_narrow(weights: Floats, scales: Floats, operator: str) -> NDArray[np.int8]:
    """Weights as integers in -127..127 whose pairs all fit: the nearest such ones.

    Args:
        weights: As above.
        scales: As above; a pair that does not fit is brought to 128 with the least sum of squared errors.
        operator: As above.
    """
    return _like(weights, fitted(_rows(weights, operator) / _column(scales)), operator)


def fitted(reals: Rows) -> Rows:
    """The nearest integers whose pairs fit.

    On the line of pairs that add up to the limit, the point nearest to (a, b) has (a - b + limit) / 2 as its first
    coordinate; the error grows evenly to both sides of it, so that the nearest integer is best.

    Args:
        reals: Weights in units of their scale, the last axis in the order of the matrix product.
    """
    integers = _nearest(reals)
    wanted, even = np.clip(reals, -HIGHEST, HIGHEST), reals.shape[-1] // 2 * 2
    sums = _pair_sums(integers)
    offending = np.abs(sums) > LARGEST_PAIR  # never of two weights of different signs
    limit = np.copysign(LARGEST_PAIR, sums)
    first = np.rint((wanted[..., :even:2] - wanted[..., 1:even:2] + limit) / 2)
    integers[..., :even:2] = np.where(offending, first, integers[..., :even:2])
    integers[..., 1:even:2] = np.where(offending, limit - first, integers[..., 1:even:2])
    return integers


def saturating_product(activations: NDArray[np.uint8], integers: NDArray[np.int8]) -> NDArray[np.int32]:
    """What a processor without VNNI computes of a matrix product.

    Args:
        activations: Shape (rows, depth), as they are stored.
        integers: Weights, shape (channels, depth).

    Returns:
        Shape (rows, channels), before the zero point of the activations is accounted for.
    """
    products = activations[:, np.newaxis].astype(np.int32) * integers.astype(np.int32)
    limits = np.iinfo(np.int16)
    even = products.shape[2] // 2 * 2
    sums = np.clip(products[..., :even:2] + products[..., 1:even:2], limits.min, limits.max)
    total: NDArray[np.int32] = sums.sum(axis=2, dtype=np.int32) + products[..., even:].sum(axis=2, dtype=np.int32)
    return total


def _rows(weights: NDArray[Any], operator: str) -> Rows:
    """A row for each output channel, in the order of the matrix product."""
    if operator == "MatMul":
        ordered, depth = np.swapaxes(weights, -1, -2), weights.shape[-2]
    else:
        ordered, depth = np.moveaxis(weights, 1, -1), weights[0].size
    return ordered.reshape(-1, depth).astype(np.float64)


def _like(weights: Floats, rows: Rows, operator: str) -> NDArray[np.int8]:
    """Rows back in the shape of the weights that they came from."""
    shape: Sequence[int] = weights.shape
    if operator == "MatMul":
        ordered = np.swapaxes(rows.reshape(*shape[:-2], shape[-1], shape[-2]), -1, -2)
    else:
        ordered = np.moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
    return np.ascontiguousarray(ordered.astype(np.int8))


def _column(scales: Floats) -> Rows:
    return scales.astype(np.float64).reshape(-1, 1)


def _nearest(reals: Rows) -> Rows:
    return np.clip(np.rint(reals), -HIGHEST, HIGHEST)


def _pair_sums(integers: Rows) -> Rows:
    even = integers.shape[-1] // 2 * 2
    return integers[..., :even:2] + integers[..., 1:even:2]
