"""Operators that are compositions of others are written out, so that lowerings and passes meet fewer kinds.

Source: ONNX operator specification: Reciprocal is 1 / x; Mish is x * tanh(softplus(x)); Selu is gamma times Elu; Trilu
keeps one triangle of each matrix; GlobalMaxPool is the maximum over all axes from the third on. ReduceLogSumExp takes
the maximum out of the sum first, as onnxruntime does, so that no exponential overflows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import (
    dtype_of,
    input_integers,
    integer,
    rank_of,
    real,
    shape_of,
)
from edgefleet_compiler.passes.record import Effects
from edgefleet_compiler.passes.reductions import reduced_axes


def write_out_compositions(model: ir.Model) -> Effects:
    """Rewrite every composition."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        write_out = _COMPOSITIONS.get(node.op_type)
        if write_out is not None and node.inputs[0] is not None:
            effects[f"wrote out {{}} {node.op_type}"] += 1
            write_out(node, node.inputs[0], editor)
    return effects


def _reciprocal(node: ir.Node, source: ir.Value, editor: Editor) -> None:
    one = editor.constant(np.ones((), dtype_of(source).numpy()), f"{node.name}/one")
    editor.rewrite(node, "Div", [one, source])


def _mish(node: ir.Node, source: ir.Value, editor: Editor) -> None:
    """Compute x * n / (n + 2) with n = e * (e + 2), e = exp(x): the tanh of log(1 + e), without losing small e.

    From 20 on the quotient is 1, and larger exponentials are left out.
    """
    numbers = [editor.constant(np.array(number, np.float32), f"{node.name}/number") for number in (20, 2)]
    power = _like(editor, "Exp", [_like(editor, "Min", [source, numbers[0]], node)], node)
    share = _like(editor, "Mul", [power, _like(editor, "Add", [power, numbers[1]], node)], node)
    whole = _like(editor, "Add", [share, numbers[1]], node)
    editor.rewrite(node, "Mul", [source, _like(editor, "Div", [share, whole], node)])


def _selu(node: ir.Node, source: ir.Value, editor: Editor) -> None:
    alpha, gamma = real(node, "alpha", 1.6732632423543772), real(node, "gamma", 1.0507009873554805)
    elu = editor.node(
        "Elu", [source], name=f"{node.name}/elu", shape=shape_of(source), attributes={"alpha": alpha}, before=node
    )
    editor.rewrite(node, "Mul", [elu, editor.constant(np.array(gamma, np.float32), f"{node.name}/gamma")])


def _trilu(node: ir.Node, source: ir.Value, editor: Editor) -> None:
    offset = (input_integers(node, 1) or (0,))[0]
    upper = np.triu(np.ones(shape_of(source)[-2:], np.bool_), offset)
    kept = upper if integer(node, "upper", 1) else np.tril(np.ones_like(upper), offset)
    zero = editor.constant(np.zeros((), dtype_of(source).numpy()), f"{node.name}/zero")
    editor.rewrite(node, "Where", [editor.constant(kept, f"{node.name}/kept"), source, zero])


def _global_max_pool(node: ir.Node, source: ir.Value, editor: Editor) -> None:
    axes = editor.constant(np.arange(2, rank_of(source)), f"{node.name}/axes")
    editor.rewrite(node, "ReduceMax", [source, axes], {"keepdims": 1})


def _log_sum_exp(node: ir.Node, source: ir.Value, editor: Editor) -> None:
    axes = reduced_axes(node, rank_of(source))
    assert axes is not None, "the importer takes constant axes only"
    kept = [1 if axis in axes else size for axis, size in enumerate(shape_of(source))]
    operand = editor.constant(np.array(sorted(axes), np.int64), f"{node.name}/axes")
    keep = {"keepdims": 1, "noop_with_empty_axes": 1}
    highest = _like(editor, "ReduceMax", [source, operand], node, kept, keep)
    scaled = _like(editor, "Exp", [_like(editor, "Sub", [source, highest], node)], node)
    total = _like(editor, "Log", [_like(editor, "ReduceSum", [scaled, operand], node, kept, keep)], node, kept)
    result = _like(editor, "Add", [total, highest], node, kept)
    shape = editor.constant(np.array(shape_of(node.outputs[0]), np.int64), f"{node.name}/shape")
    editor.rewrite(node, "Reshape", [result, shape])


def _like(
    editor: Editor,
    operator: str,
    inputs: list[ir.Value],
    node: ir.Node,
    shape: list[int] | None = None,
    attributes: dict[str, int] | None = None,
) -> ir.Value:
    """A node before ``node``, of its name and of the shape of the first input unless another is given."""
    return editor.node(
        operator,
        inputs,
        name=f"{node.name}/{operator.lower()}",
        shape=shape_of(inputs[0]) if shape is None else shape,
        attributes=attributes,
        before=node,
    )


_COMPOSITIONS: dict[str, Callable[[ir.Node, ir.Value, Editor], None]] = {
    "GlobalMaxPool": _global_max_pool,
    "Mish": _mish,
    "Reciprocal": _reciprocal,
    "ReduceLogSumExp": _log_sum_exp,
    "Selu": _selu,
    "Trilu": _trilu,
}
