"""The border of a graph that came quantised: integers or reals at its inputs and outputs."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edgefleet_compiler.lowered.editing import readers, writers
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_contract.errors import RecipeUnfit

# What DEQUANTIZE takes and QUANTIZE gives.
_CONVERTIBLE = frozenset(map(np.dtype, (np.int8, np.uint8, np.int16)))
_FLOAT32 = np.dtype(np.float32)


def set_border(graph: LoweredGraph, io: Literal["source", "float", "int8"]) -> None:
    """Make inputs and outputs real or integer, in place; names stay, and the integers inside do too.

    Args:
        graph: Quantised.
        io: "source" leaves all as it is, "float" puts QUANTIZE behind inputs and DEQUANTIZE before outputs, "int8"
            takes such away where there are any.

    Raises:
        RecipeUnfit: An input or output has no such form.
    """
    if io == "float":
        _take_reals(graph)
        _give_reals(graph)
    elif io == "int8":
        _take_integers(graph)
        _give_integers(graph)


def has_real_border(graph: LoweredGraph) -> bool:
    """Whether an input or output is float32."""
    return any(graph.tensors[name].dtype == _FLOAT32 for name in (*graph.inputs, *graph.outputs))


def _take_reals(graph: LoweredGraph) -> None:
    for name in [name for name in graph.inputs if graph.tensors[name].quantisation is not None]:
        inner = _renamed_inside(graph, name, "input")
        graph.inputs[graph.inputs.index(inner)] = name
        graph.operators.insert(0, Operator("QUANTIZE", [name], [inner], source=name))


def _give_reals(graph: LoweredGraph) -> None:
    for name in [name for name in graph.outputs if graph.tensors[name].quantisation is not None]:
        inner = _renamed_inside(graph, name, "output")
        graph.outputs[graph.outputs.index(inner)] = name
        graph.operators.append(Operator("DEQUANTIZE", [inner], [name], source=name))


def _renamed_inside(graph: LoweredGraph, name: str, role: str) -> str:
    """Give the integers another name, and their own to a real tensor of that shape.

    Returns:
        The new name of the integers.
    """
    tensor = graph.tensors[name]
    if tensor.dtype not in _CONVERTIBLE:
        raise RecipeUnfit(
            f"The {role} {name!r} of the source is quantised to {tensor.dtype}, which nothing converts to float",
            expected="--io int8, which leaves it as it is",
            value=name,
        )
    inner = graph.fresh_name(f"{name}_quantised")
    graph.rename(name, inner)
    graph.add_tensor(Tensor(name, tensor.shape, _FLOAT32))
    return inner


def _take_integers(graph: LoweredGraph) -> None:
    for name in [name for name in graph.inputs if graph.tensors[name].dtype == _FLOAT32]:
        read = readers(graph).get(name, [])
        if len(read) != 1 or read[0].kind != "QUANTIZE" or read[0].outputs[0] in graph.outputs:
            raise _left_in_float("input", name)
        inner = read[0].outputs[0]
        graph.operators = [operator for operator in graph.operators if operator is not read[0]]
        _replace_name(graph, name, inner, graph.inputs)


def _give_integers(graph: LoweredGraph) -> None:
    for name in [name for name in graph.outputs if graph.tensors[name].dtype == _FLOAT32]:
        writer = writers(graph)[name]
        inner = writer.inputs[0]
        alone = inner is not None and inner not in (*graph.inputs, *graph.outputs) and not readers(graph).get(name)
        if writer.kind != "DEQUANTIZE" or inner is None or not alone or graph.tensors[inner].is_constant:
            raise _left_in_float("output", name)
        graph.operators = [operator for operator in graph.operators if operator is not writer]
        _replace_name(graph, name, inner, graph.outputs)


def _replace_name(graph: LoweredGraph, name: str, inner: str, border: list[str]) -> None:
    """Let the integers take the place and the name of the real tensor."""
    border[border.index(name)] = inner
    del graph.tensors[name]
    graph.rename(inner, name)


def _left_in_float(role: str, name: str) -> RecipeUnfit:
    return RecipeUnfit(
        f"The {role} {name!r} of the source is float, and not merely converted there",
        expected="a source whose inputs and outputs are quantised",
        remedy="Compile with --io float.",
        value=name,
    )
