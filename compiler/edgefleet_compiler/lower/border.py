"""Inputs and outputs of the lowered graph: the source's names and order, and what --io and --io-layout make of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import onnx_ir as ir

from edgefleet_compiler.hub.graph import dtype_of, is_float, name_of, rank_of, shape_of
from edgefleet_compiler.lower.constants import constant_of
from edgefleet_compiler.lower.layout import as_is
from edgefleet_compiler.lower.lowering import INT8, Lowering, Stored
from edgefleet_compiler.lower.quantisation import Form
from edgefleet_compiler.lowered.graph import Tensor
from edgefleet_contract.errors import RecipeUnfit

Io = Literal["float", "int8"]
IoLayout = Literal["source", "native"]


def take_inputs(values: Sequence[ir.Value], lowering: Lowering, io: Io) -> None:
    """Make a tensor of each input: float, or the int8 tensor that its QuantizeLinear would give.

    Raises:
        RecipeUnfit: ``io`` is ``int8``, and an input is read in float or in wider integers.
    """
    for value in values:
        layout = lowering.layouts.produced(value)
        shape = layout.shape(shape_of(value))
        tensor = Tensor(name_of(value), shape, dtype_of(value).numpy())
        if io == "int8" and is_float(value):
            if value not in lowering.wanted:
                raise _left_in_float("input", value)
            form = lowering.wanted[value]
            if form.dtype != INT8:
                raise _too_wide("input", value, form)
            tensor = Tensor(name_of(value), shape, form.dtype, form.quantisation)
        lowering.graph.inputs.append(lowering.graph.add_tensor(tensor))
        lowering.bind(value, tensor.name, layout)
        if layout.moves:
            lowering.graph.stored_axes[tensor.name] = layout.axes


def give_outputs(values: Sequence[ir.Value], lowering: Lowering, io: Io, io_layout: IoLayout) -> None:
    """Name the tensors that hold the outputs, converted to the order and type asked for.

    Raises:
        RecipeUnfit: ``io`` is ``int8``, and an output is computed in float or in wider integers.
    """
    graph = lowering.graph
    for value in values:
        stored = _stored(value, lowering)
        form = lowering.form(value)
        if io == "int8" and is_float(value) and form is None:
            raise _left_in_float("output", value)
        if io == "int8" and form is not None and form.dtype != INT8:
            raise _too_wide("output", value, form)
        layout = as_is(rank_of(value)) if io_layout == "source" else stored.layout
        wanted = form if io == "int8" else None
        tensor = lowering.fetch(value, layout, wanted, name_of(value))
        if graph.tensors[tensor].is_constant or tensor in graph.inputs or tensor in graph.outputs:
            tensor = _copied(tensor, lowering, name_of(value))
        graph.outputs.append(tensor)
        if layout.moves:
            graph.stored_axes[name_of(value)] = layout.axes
    for value, tensor in zip(values, list(graph.outputs), strict=True):
        graph.rename(tensor, name_of(value))


def _stored(value: ir.Value, lowering: Lowering) -> Stored:
    constant = constant_of(value)
    if constant is not None:
        lowering.bind(value, lowering.add_constant(constant.name, constant.real), as_is(rank_of(value)))
    return lowering.stored(value)


def _copied(tensor: str, lowering: Lowering, source: str) -> str:
    """A tensor of its own for an output that is an input, a constant, or another output: a RESHAPE that copies."""
    given = lowering.graph.tensors[tensor]
    copy = lowering.add_tensor(f"{tensor}_copy", given.shape, given.dtype, given.quantisation)
    lowering.emit("RESHAPE", [tensor], [copy], {"new_shape": list(given.shape)}, source)
    return copy


def _too_wide(role: str, value: ir.Value, form: Form) -> RecipeUnfit:
    return RecipeUnfit(
        f"{role} {value.name!r} is quantised to {form.dtype}, although --io int8 was asked for",
        expected="int8 at the model's inputs and outputs",
        remedy="Compile with --io float.",
        value=value.name,
    )


def _left_in_float(role: str, value: ir.Value) -> RecipeUnfit:
    return RecipeUnfit(
        f"{role} {value.name!r} is left in float, although --io int8 was asked for",
        expected="an int8 recipe, and operators with an int8 form at the model's inputs and outputs",
        remedy="Compile with --io float.",
        value=value.name,
    )
