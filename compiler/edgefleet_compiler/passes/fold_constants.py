"""Nodes that depend on nothing but constants are computed now.

Source: constant folding (Aho, Lam, Sethi, Ullman, "Compilers", section 9.4). The nodes run in onnxruntime, all at
once and without its optimiser, so that folding gives the bits that running would have given. ``Shape`` and ``Size``
of a value with a static shape count as constants; this is what turns exporters' shape arithmetic into numbers.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import (
    IR_VERSION,
    Constant,
    byte_size,
    constant,
    dtype_of,
    has_static_shape,
    integer,
    name_of,
    shape_of,
)
from edgefleet_compiler.hub.operators import CONTROL_FLOW, QUANTISED
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.passes.record import Effects
from edgefleet_contract.errors import ModelMalformed

MOST_BYTES = 64 * 2**20
"""A folded constant larger than this stays a node: a few bytes of file must not become gigabytes of memory."""

MOST_BYTES_TOGETHER = 512 * 2**20
"""The same of all that are computed at once, in between as well."""

_NOT_FOLDED = (
    CONTROL_FLOW
    | QUANTISED
    | {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)


def fold_constants(model: ir.Model) -> Effects:
    """Replace nodes that only depend on constants by initializers; by a Constant where one gives a graph output.

    Raises:
        ModelMalformed: onnxruntime cannot compute them: their operands do not fit.
    """
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    effects["folded {} shape queries"] += _fold_shapes(graph, editor)
    foldable = _foldable_nodes(graph)
    if foldable:
        _evaluate(graph, foldable, editor)
        effects["folded {} constant nodes"] += len(foldable)
    return +effects


def _fold_shapes(graph: ir.Graph, editor: Editor) -> int:
    folded = 0
    for node in list(graph):
        array = _by_shape(node)
        if array is None:
            continue
        if node.outputs[0].is_graph_output():
            editor.constant_node(array, node)
        else:
            node.outputs[0].replace_all_uses_with(editor.constant(array, name_of(node.outputs[0])))
            graph.remove(node, safe=True)
        folded += 1
    return folded


def _by_shape(node: ir.Node) -> Constant | None:
    """What a node computes of nothing but the static shape of its input; None where it does not."""
    if node.op_type not in ("Shape", "Size", "EyeLike") or node.inputs[0] is None:
        return None
    if not has_static_shape(node.inputs[0]):
        return None
    shape = shape_of(node.inputs[0])
    if node.op_type == "Shape":
        return np.array(shape[integer(node, "start", 0) : integer(node, "end", len(shape))], np.int64)
    if node.op_type == "Size":
        return np.array(math.prod(shape), np.int64)
    if not _is_small(node.outputs[0]):
        return None
    rows, columns = shape
    return np.eye(rows, columns, integer(node, "k", 0), dtype=dtype_of(node.outputs[0]).numpy())


def _foldable_nodes(graph: ir.Graph) -> list[ir.Node]:
    known: set[ir.Value] = set()
    foldable: list[ir.Node] = []
    bytes_left = MOST_BYTES_TOGETHER
    for node in graph:
        inputs = [value for value in node.inputs if value is not None]
        if (
            node.domain == ""
            and node.op_type not in _NOT_FOLDED
            and all(value in known or constant(value) is not None for value in inputs)
            and all(_is_small(value) for value in node.outputs)
            and _may_become_constant(node)
            and (size := sum(byte_size(value) for value in node.outputs if value.name)) <= bytes_left
        ):
            bytes_left -= size
            foldable.append(node)
            known.update(node.outputs)
    return foldable


def _may_become_constant(node: ir.Node) -> bool:
    """Whether initializers, or a Constant under the name of a graph output, can stand for what the node gives."""
    gives_output = any(value.is_graph_output() for value in node.outputs)
    return not gives_output or (len(node.outputs) == 1 and node.op_type != "Constant")


def _is_small(value: ir.Value) -> bool:
    """Whether the value may be kept in memory; one of unknown shape or type may not."""
    if value.name == "":  # an optional output left out
        return True
    return has_static_shape(value) and value.dtype is not None and byte_size(value) <= MOST_BYTES


def _evaluate(graph: ir.Graph, nodes: list[ir.Node], editor: Editor) -> None:
    """Run the nodes in onnxruntime and put constants where their results are used."""
    inside = set(nodes)
    wanted = [
        value
        for node in nodes
        for value in node.outputs
        if value.is_graph_output() or any(use.node not in inside for use in value.uses())
    ]
    feeds = {value for node in nodes for value in node.inputs if value is not None and value.is_initializer()}
    results = _run(_program(graph, nodes, feeds, wanted)) if wanted else {}
    for value in wanted:
        array, producer = results[name_of(value)], value.producer()
        if value.is_graph_output() and producer is not None:
            editor.constant_node(array, producer)
            inside.remove(producer)
        else:
            value.replace_all_uses_with(editor.constant(array, name_of(value)))
    graph.remove(inside, safe=True)


def _run(program: bytes) -> dict[str, Constant]:
    try:
        return Session(program, optimise=False).run({})
    except Exception as cause:  # onnxruntime has no base class for its errors
        text = str(cause).strip().split("\n", maxsplit=1)[0]
        raise ModelMalformed(f"The constants of the model cannot be computed: {text}") from cause


def _program(graph: ir.Graph, nodes: list[ir.Node], feeds: set[ir.Value], wanted: list[ir.Value]) -> bytes:
    initializers = [ir.to_proto(value.const_value) for value in sorted(feeds, key=name_of) if value.const_value]
    outputs = [ir.to_proto(value) for value in wanted]
    protos = [ir.to_proto(node) for node in nodes]
    for proto in protos:
        proto.ClearField("name")  # sources may repeat names, which onnxruntime does not take
    program = onnx.helper.make_graph(protos, "constants", [], outputs, initializers)
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in graph.opset_imports.items()]
    return bytes(onnx.helper.make_model(program, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString())
