"""The lowered graph while it grows: which tensor holds which value of the hub, in which order and type."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.four_bits import INT4
from edgefleet_compiler.hub.graph import dtype_of, name_of, shape_of
from edgefleet_compiler.lower.constants import Constant
from edgefleet_compiler.lower.layout import Layout, Shape
from edgefleet_compiler.lower.layout_analysis import Layouts
from edgefleet_compiler.lower.quantisation import Form
from edgefleet_compiler.lowered.graph import (
    AttributeValue,
    LoweredGraph,
    Operator,
    Quantisation,
    Tensor,
)
from edgefleet_compiler.refusal import Refusal

FLOAT32 = np.dtype(np.float32)
INT8 = np.dtype(np.int8)
INT16 = np.dtype(np.int16)


@dataclass(frozen=True)
class Stored:
    """The tensor that holds a value of the hub, and in which order of elements."""

    tensor: str
    layout: Layout


class Lowering:
    """Builds a lowered graph; the operators' files add to it through a ``Site``.

    Attributes:
        graph: What was built so far.
        layouts: In which order each value is stored.
        wanted: The values that exist only to be quantised, with the form wanted.
        rounding: Names of the nodes that round what they read at run time.
        refusals: The operators that could not be lowered.
    """

    def __init__(
        self,
        layouts: Layouts,
        wanted: Mapping[ir.Value, Form],
        reserved: Sequence[str],
        rounding: frozenset[str] = frozenset(),
    ) -> None:
        self.graph = LoweredGraph()
        self.layouts = layouts
        self.wanted = wanted
        self.rounding = rounding
        self.refusals: list[Refusal] = []
        self._reserved = frozenset(reserved)
        self._stored: dict[ir.Value, Stored] = {}
        self._constants: dict[Hashable, str] = {}
        self._conversions: dict[Hashable, str] = {}

    def add_tensor(
        self, base: str, shape: Shape, dtype: np.dtype[np.generic], quantisation: Quantisation | None = None
    ) -> str:
        """Add an activation, named after ``base``."""
        return self.graph.add_tensor(Tensor(self._fresh_name(base), shape, dtype, quantisation))

    def add_constant(self, base: str, data: NDArray[np.generic], quantisation: Quantisation | None = None) -> str:
        """The tensor of a constant; the same constant under the same name is there once."""
        key = (base, data.dtype.str, data.shape, data.tobytes(), _key(quantisation))
        if key not in self._constants:
            name = self._fresh_name(base)
            self.graph.add_tensor(Tensor(name, data.shape, data.dtype, quantisation, data))
            self._constants[key] = name
        return self._constants[key]

    def add_real_constant(self, constant: Constant, source: str) -> str:
        """A float32 tensor of a constant that stays in the file as it was stored.

        DEQUANTIZE widens weights in fewer bits when the model is loaded, as in the files of TFLite's converter.
        """
        is_narrow = constant.stored.dtype in (INT8, INT4) and constant.quantisation is not None
        if not is_narrow and constant.stored.dtype != np.float16:
            return self.add_constant(constant.name, constant.real)
        narrow = self.add_constant(constant.name, constant.stored, constant.quantisation)
        return self.dequantised(narrow, source)

    def emit(
        self,
        kind: str,
        inputs: Sequence[str | None],
        outputs: Sequence[str],
        attributes: Mapping[str, AttributeValue],
        source: str,
    ) -> None:
        """Append an operator that writes ``outputs``."""
        self.graph.operators.append(Operator(kind, list(inputs), list(outputs), dict(attributes), source))

    def bind(self, value: ir.Value, tensor: str, layout: Layout) -> None:
        """Let ``tensor`` hold ``value``."""
        self._stored[value] = Stored(tensor, layout)

    def bind_placeholder(self, value: ir.Value) -> None:
        """Let a tensor that nobody writes stand for the output of a refused operator, so that lowering can go on."""
        layout = self.layouts.produced(value)
        self.bind(
            value, self.add_tensor(name_of(value), layout.shape(shape_of(value)), dtype_of(value).numpy()), layout
        )

    def stored(self, value: ir.Value) -> Stored:
        """The tensor that holds an activation, as its producer wrote it."""
        return self._stored[value]

    def form(self, value: ir.Value) -> Form | None:
        """The form of an activation that is stored in integers; None of a float one."""
        tensor = self.graph.tensors[self._stored[value].tensor]
        return None if tensor.quantisation is None else Form(tensor.dtype, tensor.quantisation)

    def fetch(self, value: ir.Value, layout: Layout, form: Form | None, source: str) -> str:
        """The tensor of an activation in another order or type, converted where need be.

        Args:
            value: The activation.
            layout: The order wanted.
            form: The integers wanted; None for reals.
            source: The node that asks, to whom the conversion is charged.
        """
        stored = self.stored(value)
        tensor = self.rearranged(stored, layout, shape_of(value), source)
        if form is None:
            return self.dequantised(tensor, source)
        return self.quantised(tensor, form, source)

    def dequantised(self, tensor: str, source: str) -> str:
        """``tensor`` as float32; itself if it is not quantised, nor float16."""
        given = self.graph.tensors[tensor]
        if given.quantisation is None and given.dtype != np.float16:
            return tensor
        return self._converted("DEQUANTIZE", [tensor], Tensor(f"{tensor}_real", given.shape, FLOAT32), source)

    def quantised(self, tensor: str, form: Form, source: str) -> str:
        """``tensor`` in the integers of a form; itself if it has it."""
        given = self.graph.tensors[tensor]
        if form.is_of(given):
            return tensor
        output = Tensor(f"{tensor}_quantised", given.shape, form.dtype, form.quantisation)
        return self._converted("QUANTIZE", [tensor], output, source)

    def rearranged(self, stored: Stored, layout: Layout, shape: Shape, source: str) -> str:
        """A stored value of the hub's ``shape`` in another order."""
        if stored.layout == layout:
            return stored.tensor
        if layout.flattened is None and stored.layout.flattened is None:
            axes = tuple(stored.layout.position(axis) for axis in layout.axes)
            return self.transposed(stored.tensor, axes, source)
        images = layout.flattened or stored.layout.flattened
        assert images is not None
        before = stored.layout.axes if stored.layout.flattened else tuple(range(len(images)))
        after = layout.axes if layout.flattened else tuple(range(len(images)))
        unfolded = self.reshaped(stored.tensor, tuple(images[axis] for axis in before), source)
        turned = self.transposed(unfolded, tuple(before.index(axis) for axis in after), source)
        return self.reshaped(turned, shape, source)

    def transposed(self, tensor: str, axes: tuple[int, ...], source: str) -> str:
        """``tensor`` with its axes permuted as ``numpy.transpose`` does.

        A mere RESHAPE does it where only axes of length 1 change place.
        """
        given = self.graph.tensors[tensor]
        shape = tuple(given.shape[axis] for axis in axes)
        long_axes = [axis for axis in axes if given.shape[axis] > 1]
        if long_axes == sorted(long_axes):
            return self.reshaped(tensor, shape, source)
        permutation = self.add_constant("axes", np.array(axes, np.int32))
        output = Tensor(f"{tensor}_transposed", shape, given.dtype, given.quantisation)
        return self._converted("TRANSPOSE", [tensor, permutation], output, source)

    def reshaped(self, tensor: str, shape: Shape, source: str) -> str:
        """``tensor`` in another shape; itself if it has it."""
        given = self.graph.tensors[tensor]
        if given.shape == shape:
            return tensor
        output = Tensor(f"{tensor}_reshaped", shape, given.dtype, given.quantisation)
        return self._converted("RESHAPE", [tensor], output, source)

    def _converted(self, kind: str, inputs: list[str], output: Tensor, source: str) -> str:
        """The output of a conversion, which is made once for all who ask for the same."""
        key = (kind, *inputs, output.shape, output.dtype.str, _key(output.quantisation))
        if key not in self._conversions:
            attributes: dict[str, AttributeValue] = {"new_shape": list(output.shape)} if kind == "RESHAPE" else {}
            name = self.add_tensor(output.name, output.shape, output.dtype, output.quantisation)
            self.emit(kind, inputs, [name], attributes, source)
            self._conversions[key] = name
        return self._conversions[key]

    def _fresh_name(self, base: str) -> str:
        """A name that no tensor has and that is not kept for an input or output."""
        name = self.graph.fresh_name(base)
        return name if name not in self._reserved else self.graph.fresh_name(f"{base}_inner")


def _key(quantisation: Quantisation | None) -> Hashable:
    if quantisation is None:
        return None
    return quantisation.scale.tobytes(), quantisation.zero_point.tobytes(), quantisation.axis
