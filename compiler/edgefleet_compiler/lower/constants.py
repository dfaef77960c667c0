"""The constants of the hub as the lowered graph stores them: float, float16, or integers with their parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import constant_value
from edgefleet_compiler.lower.quantisation import parameters
from edgefleet_compiler.lowered.graph import Quantisation


@dataclass(frozen=True)
class Constant:
    """A value known at compile time.

    Attributes:
        name: Of the initializer.
        stored: As it lies in the file; float16 and quantised integers stand for reals.
        quantisation: Of ``stored``; None where it holds the values themselves.
    """

    name: str
    stored: NDArray[np.generic]
    quantisation: Quantisation | None = None

    @property
    def real(self) -> NDArray[np.generic]:
        """The values: float32 where ``stored`` stands for reals."""
        if self.quantisation is None:
            return self.stored.astype(np.float32) if self.stored.dtype == np.float16 else self.stored
        along = [1] * self.stored.ndim
        if self.quantisation.per_channel:
            along[self.quantisation.axis] = -1
        scale = self.quantisation.scale.reshape(along if self.stored.ndim else ())
        zero_point = self.quantisation.zero_point.reshape(along if self.stored.ndim else ())
        return ((self.stored.astype(np.int64) - zero_point) * scale.astype(np.float64)).astype(np.float32)

    @property
    def as_float(self) -> Constant:
        """The same reals without parameters, for operators that compute in float; float16 stays as it is stored."""
        return self if self.quantisation is None else Constant(self.name, self.real)

    def part(self, index: int) -> Constant:
        """The reals at a place of the first axis."""
        taken = self.rows(slice(index, index + 1))
        channel_axis = 0 if taken.quantisation is None else taken.quantisation.axis - 1
        return replace(taken.rearranged(taken.stored[0], channel_axis), name=f"{self.name}/{index}")

    def rows(self, chosen: slice | NDArray[np.intp]) -> Constant:
        """Some of the reals along the first axis, or all in another order, each with its own parameters."""
        quantisation = self.quantisation
        if quantisation is not None and quantisation.per_channel and quantisation.axis == 0:
            quantisation = replace(
                quantisation, scale=quantisation.scale[chosen], zero_point=quantisation.zero_point[chosen]
            )
        return replace(self, stored=self.stored[chosen], quantisation=quantisation)

    def rearranged(self, stored: NDArray[np.generic], channel_axis: int) -> Constant:
        """The same reals in another order, the channels that have parameters of their own on ``channel_axis``."""
        if self.quantisation is None or not self.quantisation.per_channel:
            return replace(self, stored=stored)
        return replace(self, stored=stored, quantisation=replace(self.quantisation, axis=channel_axis))

    def transposed(self, axes: tuple[int, ...]) -> Constant:
        """The same reals with the axes permuted as ``numpy.transpose`` does."""
        channel_axis = axes.index(self.quantisation.axis) if self.quantisation is not None else 0
        return self.rearranged(np.ascontiguousarray(self.stored.transpose(axes)), channel_axis)


def constant_of(value: ir.Value | None) -> Constant | None:
    """The constant behind ``value``, if any: an initializer or Constant, or either through DequantizeLinear or Cast."""
    if value is None:
        return None
    if value.const_value is not None:
        return Constant(value.name or "", value.const_value.numpy())
    producer = value.producer()
    if producer is None:
        return None
    if producer.op_type == "Constant":
        array = constant_value(producer)
        return None if array is None else Constant(value.name or "", array)
    return _widened(producer)


def _widened(node: ir.Node) -> Constant | None:
    """The constant that a DequantizeLinear or a Cast of float16 stands for."""
    source = constant_of(node.inputs[0]) if node.op_type in {"DequantizeLinear", "Cast"} else None
    if source is None:
        return None
    if node.op_type == "DequantizeLinear":
        return replace(source, quantisation=_on_axis(parameters(node), source.stored.ndim))
    return source if source.stored.dtype == np.float16 else None


def _on_axis(quantisation: Quantisation, rank: int) -> Quantisation:
    return replace(quantisation, axis=quantisation.axis % rank if quantisation.per_channel else 0)
