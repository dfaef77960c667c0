"""The border of the ONNX artifact: what ``--io`` and ``--io-layout`` leave out at inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from edgefleet_compiler.exporters.onnx_steps.integers import retype
from edgefleet_compiler.hub.graph import dtype_of, integers, is_float, name_of, shape_of, sole_consumer
from edgefleet_compiler.passes.layout.permutation import Permutation, inverse, permuted
from edgefleet_contract.errors import RecipeUnfit

_BITS = 8


def cut_pairs(graph: ir.Graph) -> None:
    """Take and give integers: leave out the QuantizeLinear of inputs and the DequantizeLinear of outputs.

    Raises:
        RecipeUnfit: An input or output is used in float, or in integers of other than 8 bits.
    """
    for value in graph.inputs:
        if not is_float(value):
            continue
        consumers = set(value.consumers())
        if value.is_graph_output() or {node.op_type for node in consumers} != {"QuantizeLinear"}:
            raise _left_in_float("input", value)
        for node in consumers:
            _require_bytes("input", value, node.outputs[0])
            retype(value, dtype_of(node.outputs[0]))
            node.outputs[0].replace_all_uses_with(value, replace_graph_outputs=True)
            graph.remove(node, safe=True)
    for index, value in enumerate(graph.outputs):
        if not is_float(value):
            continue
        producer = value.producer()
        stored = producer.inputs[0] if producer is not None and producer.op_type == "DequantizeLinear" else None
        if producer is None or stored is None or stored.is_graph_input() or stored.is_graph_output():
            raise _left_in_float("output", value)
        _require_bytes("output", value, stored)
        name = name_of(value)
        graph.outputs[index] = stored
        value.name = f"{name}/real"
        stored.name = name
        if not value.uses():
            graph.remove(producer, safe=True)


def _require_bytes(role: str, value: ir.Value, stored: ir.Value) -> None:
    """Refuse integers that are wider than ``--io int8`` says."""
    if dtype_of(stored).bitwidth != _BITS:
        raise RecipeUnfit(
            f"{role} {value.name!r} is quantised to {dtype_of(stored).numpy()}, although --io int8 was asked for",
            expected="int8 or uint8 at the model's inputs and outputs",
            remedy="Compile with --io float.",
            value=value.name,
        )


def drop_border_transposes(graph: ir.Graph) -> None:
    """Take and give images as they are stored inside: leave out the Transposes at inputs and outputs."""
    for value in graph.inputs:
        border = _behind_input(value)
        if border is None:
            continue
        for node in border.transposes:
            node.outputs[0].replace_all_uses_with(border.path[-1])
            graph.remove(node, safe=True)
        for reordered in border.path:
            reordered.shape = ir.Shape(permuted(shape_of(reordered), border.permutation))
    for index, value in enumerate(graph.outputs):
        border = _before_output(value)
        if border is None:
            continue
        (node,) = border.transposes
        source, name = node.inputs[0], name_of(value)
        assert source is not None
        for reordered in border.path:
            reordered.shape = ir.Shape(shape_of(source))
        if node.outputs[0] is value:
            graph.outputs[index] = source
            value.name = f"{name}/transposed"
            source.name = name
        else:
            node.outputs[0].replace_all_uses_with(source)
        graph.remove(node, safe=True)


def stored_axes(model: ir.Model) -> dict[str, Permutation]:
    """The axes of inputs and outputs that ``--io-layout native`` gives in another order than the source's.

    Args:
        model: In hub normal form, float or quantised.

    Returns:
        By name, for each axis of the artifact's value, which axis of the source's it is.
    """
    axes = {}
    for value in model.graph.inputs:
        if (border := _behind_input(value)) is not None:
            axes[name_of(value)] = border.permutation
    for value in model.graph.outputs:
        if (border := _before_output(value)) is not None:
            axes[name_of(value)] = inverse(border.permutation)
    return axes


@dataclass(frozen=True)
class _Border:
    """Transposes of one permutation, and the values between them and the border, the Transposes' side last."""

    transposes: list[ir.Node]
    permutation: Permutation
    path: list[ir.Value]


_PAIR = ("QuantizeLinear", "DequantizeLinear")


def _behind_input(value: ir.Value) -> _Border | None:
    """The Transposes that an input goes to and nothing else does, its pair aside."""
    path = [value]
    while (node := sole_consumer(path[-1])) is not None and node.op_type in _PAIR:
        path.append(node.outputs[0])
    consumers = list(path[-1].consumers())
    permutations = {_permutation(node) for node in consumers}
    leaves = any(current.is_graph_output() for current in (*path, *(node.outputs[0] for node in consumers)))
    permutation = permutations.pop() if len(permutations) == 1 else None
    return None if permutation is None or leaves else _Border(consumers, permutation, path)


def _before_output(value: ir.Value) -> _Border | None:
    """The Transpose that an output comes from, its pair aside, if nothing inside uses what it gives."""
    path = [value]
    if value.uses():
        return None
    while (node := path[-1].producer()) is not None and node.op_type in _PAIR and node.inputs[0] is not None:
        if sole_consumer(node.inputs[0]) is not node:
            return None
        path.append(node.inputs[0])
    source = node.inputs[0] if node is not None else None
    permutation = _permutation(node) if node is not None else None
    if node is None or source is None or permutation is None or source.is_graph_input() or source.is_graph_output():
        return None
    return _Border([node], permutation, path)


def _permutation(node: ir.Node) -> Permutation | None:
    return integers(node, "perm") if node.op_type == "Transpose" else None


def _left_in_float(role: str, value: ir.Value) -> RecipeUnfit:
    return RecipeUnfit(
        f"{role} {value.name!r} is left in float, although --io int8 was asked for",
        expected="an int8 recipe, and operators with an int8 form at the model's inputs and outputs",
        remedy="Compile with --io float.",
        value=value.name,
    )
