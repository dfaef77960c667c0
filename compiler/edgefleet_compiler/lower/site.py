"""One node of the hub on its way down: what an operator's file sees of the graph around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import dtype_of, name_of, result_of, shape_of
from edgefleet_compiler.lower.constants import Constant, constant_of
from edgefleet_compiler.lower.integers import computes_on_integers
from edgefleet_compiler.lower.layout import Layout, Shape
from edgefleet_compiler.lower.lowering import Lowering, Stored
from edgefleet_compiler.lower.quantisation import Form
from edgefleet_compiler.lower.rule import Rule
from edgefleet_compiler.lowered.graph import AttributeValue, Quantisation


class Unsupported(Exception):
    """This operator has no lowering; the text says why."""


class Site:
    """A node, the tensors of its inputs, and the place for what it becomes.

    Attributes:
        node: The node.
        integer: Whether it computes on tensors of int8, or of int16.
        rounds: Whether it rounds what it reads at run time, and takes its weights as they are stored.
    """

    def __init__(self, node: ir.Node, rule: Rule, lowering: Lowering) -> None:
        self.node = node
        self._rule = rule
        self._lowering = lowering
        self.integer = computes_on_integers(node, rule, lowering)
        self.rounds = node.name in lowering.rounding

    # --- the node --------------------------------------------------------------------------------------------------

    def value(self, index: int) -> ir.Value | None:
        """Input ``index``; None where it is left out."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def shape(self, index: int) -> Shape:
        """The hub's shape of input ``index``."""
        value = self.value(index)
        assert value is not None
        return shape_of(value)

    @property
    def output_shape(self) -> Shape:
        """The hub's shape of the output."""
        return shape_of(self.node.outputs[0])

    @property
    def output_form(self) -> Form | None:
        """The integers of the output; None if it is float."""
        return self._lowering.wanted[self.node.outputs[0]] if self.integer else None

    @property
    def output_quantisation(self) -> Quantisation | None:
        """The parameters of the output's integers; None if it is float."""
        return None if self.output_form is None else self.output_form.quantisation

    def ints(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """An attribute that is a list of integers."""
        return tuple(self.node.attributes.get_ints(name, default))

    def constant(self, index: int) -> Constant | None:
        """Input ``index`` if its value is known; None if it is an activation or left out."""
        return constant_of(self.value(index))

    def setting(self, index: int, name: str) -> NDArray[np.generic] | None:
        """The value of an input that must be known at compile time; None where it is left out."""
        if self.value(index) is None:
            return None
        constant = self.constant(index)
        if constant is None:
            self.refuse(f"its {name} is computed at run time")
        return constant.real

    def refuse(self, reason: str) -> NoReturn:
        """Say that this node has no lowering.

        Raises:
            Unsupported: Always.
        """
        raise Unsupported(reason)

    def compute_in_float(self) -> None:
        """Turn to float32 although all around is in integers, because they could not compute this as the hub does."""
        self.integer = False

    # --- its inputs ------------------------------------------------------------------------------------------------

    def layout(self, index: int) -> Layout:
        """The order in which the node reads input ``index``, which may be a constant."""
        value = self.value(index)
        assert value is not None
        return self._lowering.layouts.read(self.node, value)

    def input(self, index: int = 0) -> str:
        """The tensor of activation ``index`` in the order and type in which the node computes."""
        if not self.integer:
            return self.input_stored_by(None, index)
        if self._rule.shares_parameters:
            return self.input_stored_by(self.output_form, index)
        return self.input_stored_by(self.input_form(index), index)

    def input_form(self, index: int = 0) -> Form | None:
        """The integers of activation ``index`` as its producer stored it; None for a float tensor."""
        value = self.value(index)
        assert value is not None
        return self._lowering.form(value)

    def input_stored_by(self, form: Form | None, index: int = 0) -> str:
        """The tensor of activation ``index`` in the integers of a form; as float32 without."""
        value = self.value(index)
        assert value is not None
        return self._lowering.fetch(value, self.layout(index), form, self.name)

    def input_as_stored_in(self, layout: Layout) -> str:
        """The tensor of the first activation in an order, integers as they were stored."""
        value = self.value(0)
        assert value is not None
        return self._lowering.fetch(value, layout, self._lowering.form(value), self.name)

    def input_as_stored(self, index: int = 0) -> Stored:
        """Activation ``index`` in the type in which the node computes and the order it happens to have."""
        value = self.value(index)
        assert value is not None
        layout = self._lowering.stored(value).layout
        form = self._lowering.form(value) if self.integer else None
        return Stored(self._lowering.fetch(value, layout, form, self.name), layout)

    # --- what it becomes -------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The node's name, which every operator made of it carries."""
        return self.node.name or self.node.op_type

    def add_operand(self, constant: Constant) -> str:
        """The tensor of a constant operand, in the type in which the node computes."""
        if self.integer and self._rule.shares_parameters:  # the kernel reads its integers by the output's parameters
            return self.add_like_output(constant.name, constant.real.astype(np.float64))
        if self.integer or (self.rounds and constant.quantisation is not None):
            return self._lowering.add_constant(constant.name, constant.stored, constant.quantisation)
        return self._lowering.add_real_constant(constant, self.name)

    def add_setting(self, base: str, data: Sequence[int] | Sequence[Sequence[int]]) -> str:
        """The int32 tensor of a setting such as axes or paddings."""
        return self._lowering.add_constant(base, np.array(data, np.int32))

    def add_float(self, base: str, data: NDArray[np.floating]) -> str:
        """A float32 tensor of numbers that the operator needs beside its operands."""
        return self._lowering.add_constant(base, np.ascontiguousarray(data, np.float32))

    def add_scalar(self, base: str, number: int) -> str:
        """The int32 tensor, of no axes, of a setting such as an axis or a count."""
        return self._lowering.add_constant(base, np.array(number, np.int32))

    def add_constant(self, base: str, array: NDArray[np.generic]) -> str:
        """The tensor of numbers in a type of their own."""
        return self._lowering.add_constant(base, array)

    def add_like_output(self, base: str, real: NDArray[np.floating] | np.floating) -> str:
        """A constant in the output's type: float32, or integers by the output's parameters, rounded half to even."""
        form, real = self.output_form, np.asarray(real)
        if form is None:
            return self._lowering.add_constant(base, real.astype(self.output_type))
        return self._lowering.add_constant(base, form.stored(real), form.quantisation)

    def emit(
        self,
        kind: str,
        inputs: Sequence[str | None],
        shape: Shape,
        attributes: dict[str, AttributeValue] | None = None,
        *,
        like: str | None = None,
        dtype: np.dtype[np.generic] | None = None,
    ) -> str:
        """Append an operator and return its output, of ``shape`` and the type of the node's output or of ``like``.

        Args:
            kind: Of the operator.
            inputs: Its operands.
            shape: Of its output.
            attributes: Of the operator.
            like: A tensor whose type and parameters the output has.
            dtype: The output's type, which then holds plain numbers.
        """
        base = f"{self.name}/{kind.lower()}"
        if dtype is not None:
            output = self._lowering.add_tensor(base, shape, dtype)
        elif like is not None:
            given = self._lowering.graph.tensors[like]
            output = self._lowering.add_tensor(base, shape, given.dtype, given.quantisation)
        else:
            output = self._lowering.add_tensor(base, shape, self.output_type, self.output_quantisation)
        self._lowering.emit(kind, inputs, [output], attributes or {}, self.name)
        return output

    def emit_parts(
        self,
        kind: str,
        inputs: Sequence[str],
        shapes: Sequence[Shape],
        attributes: dict[str, AttributeValue],
        types: Sequence[np.dtype[np.generic]] = (),
    ) -> list[str]:
        """Append an operator of several outputs, and return them, of these shapes; float unless types are given."""
        base = f"{self.name}/{kind.lower()}"
        given = types or [np.dtype(np.float32)] * len(shapes)
        outputs = [self._lowering.add_tensor(base, shape, dtype) for shape, dtype in zip(shapes, given, strict=True)]
        self._lowering.emit(kind, inputs, outputs, attributes, self.name)
        return outputs

    def reshape(self, tensor: str, shape: Shape) -> str:
        """``tensor`` in another shape."""
        return self._lowering.reshaped(tensor, shape, self.name)

    def stored_as_output(self, tensor: str) -> str:
        """``tensor`` by the parameters of the node's output."""
        given = self._lowering.graph.tensors[tensor]
        if self.output_form is None or self.output_form.is_of(given):
            return tensor
        return self.emit("QUANTIZE", [tensor], self.stored_shape(tensor))

    def transpose(self, tensor: str, axes: tuple[int, ...]) -> str:
        """``tensor`` with its axes permuted as ``numpy.transpose`` does."""
        return self._lowering.transposed(tensor, axes, self.name)

    @property
    def output_layout(self) -> Layout:
        """The order in which the output is written."""
        return self._lowering.layouts.produced(self.node.outputs[0])

    def finish(
        self, kind: str, inputs: Sequence[str | None], attributes: dict[str, AttributeValue] | None = None
    ) -> None:
        """Append the operator whose output is the node's."""
        value = self.node.outputs[0]
        shape = self.output_layout.shape(self.output_shape)
        output = self._lowering.add_tensor(name_of(value), shape, self.output_type, self.output_quantisation)
        self._lowering.emit(kind, inputs, [output], attributes or {}, self.name)
        self._lowering.bind(value, output, self.output_layout)

    def finish_with(self, tensor: str, index: int = 0) -> None:
        """Let ``tensor`` be output ``index`` of the node."""
        value = self.node.outputs[index]
        self._lowering.bind(value, tensor, self._lowering.layouts.produced(value))

    def finish_all(self, kind: str, inputs: Sequence[str | None], attributes: dict[str, AttributeValue]) -> None:
        """Append the operator whose outputs are the node's, all of the type and the order of the first."""
        layout = self.output_layout
        outputs = [
            self._lowering.add_tensor(
                name_of(value), layout.shape(shape_of(value)), self.output_type, self.output_quantisation
            )
            for value in self.node.outputs
        ]
        self._lowering.emit(kind, inputs, outputs, attributes, self.name)
        self.finish_with_all(outputs)

    def finish_with_all(self, tensors: Sequence[str]) -> None:
        """Let these tensors be the node's outputs, in order."""
        for value, tensor in zip(self.node.outputs, tensors, strict=True):
            self._lowering.bind(value, tensor, self._lowering.layouts.produced(value))

    def stored_shape(self, tensor: str) -> Shape:
        """The shape of a tensor of the lowered graph."""
        return self._lowering.graph.tensors[tensor].shape

    def stored_type(self, tensor: str) -> np.dtype[np.generic]:
        """The element type of a tensor of the lowered graph."""
        return self._lowering.graph.tensors[tensor].dtype

    @property
    def output_type(self) -> np.dtype[np.generic]:
        """The element type in which the output is written."""
        return dtype_of(result_of(self.node)).numpy() if self.output_form is None else self.output_form.dtype
