"""Gelu, HardSwish, Softplus and Mish that were written out as arithmetic become one operator again.

Sources: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units": x * Φ(x), with Φ by erf or by its approximation with
tanh; Howard et al. 2019, "Searching for MobileNetV3", equation of h-swish; ONNX operator specification, ``Softplus``
and ``Mish``, which as one operator overflow nowhere and keep small results. PyTorch, Keras, tf2onnx and TFLite's
converter each write these in an order of their own, with factors folded here or there. So the form is not matched: a
piece of the graph that maps each element of one value on its own is recognised by what it computes, on points close
enough together that a formula with one other constant would show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.clip import interval_of
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, is_float, shape_of
from edgefleet_compiler.passes.record import Effects

Points = NDArray[np.float64]

MOST_NODES = 14
"""The longest form met in exporters' files has 10 nodes."""

TOLERANCE = 1e-6
"""Constants of float32 are off by 6e-8; another approximation of Gelu differs by 1e-4 and more."""

_POINTS: Points = np.concatenate([np.linspace(-8, 8, 641), [-60.0, -17.3, 23.9, 60.0]])
_erf = np.vectorize(math.erf, otypes=[np.float64])


@dataclass(frozen=True)
class _Form:
    """An activation as one operator.

    Attributes:
        sign: The operator that every piece of graph which computes it has in it.
        operator: The ONNX operator.
        attributes: Its attributes.
        compute: The function.
    """

    sign: str
    operator: str
    attributes: dict[str, str]
    compute: Callable[[Points], Points]


_ROOT = math.sqrt(2 / math.pi)
_FORMS = (
    _Form("Erf", "Gelu", {"approximate": "none"}, lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2)))),
    _Form("Tanh", "Gelu", {"approximate": "tanh"}, lambda x: 0.5 * x * (1 + np.tanh(_ROOT * (x + 0.044715 * x**3)))),
    _Form("Clip", "HardSwish", {}, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    _Form("Log", "Softplus", {}, lambda x: np.logaddexp(0, x)),
    _Form("Softplus", "Mish", {}, lambda x: x * np.tanh(np.logaddexp(0, x))),
)

_COMPUTE: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Div": np.divide,
    "Erf": _erf,
    "Exp": np.exp,
    "Log": np.log,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Pow": np.power,
    "Softplus": lambda x: np.logaddexp(0, x),
    "Sub": np.subtract,
    "Tanh": np.tanh,
}


def recognise_activations(model: ir.Model) -> Effects:
    """Put one operator in the place of each piece of graph that computes an activation."""
    graph, effects = model.graph, Effects()
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type not in ("Mul", "Div", "Log") or node.graph is None or not is_float(node.outputs[0]):
            continue
        for source, piece in _pieces(node):
            form = _recognised(source, piece)
            if form is not None:
                editor.rewrite(node, form.operator, [source], form.attributes)
                effects[f"recognised {{}} {form.operator}"] += 1
                break
    return effects


def _pieces(root: ir.Node) -> Iterator[tuple[ir.Value, list[ir.Node]]]:
    """The pieces of graph that end in ``root`` and depend on one value only, with that value, smallest first.

    Nodes of a piece come in execution order; nothing outside it uses what its inner nodes compute.
    """
    order = {node: position for position, node in enumerate(root.graph or ())}
    piece: list[ir.Node] = []
    open_nodes = [root]
    leaves: set[ir.Value] = set()
    while open_nodes and len(piece) < MOST_NODES:
        node = max(open_nodes, key=order.__getitem__)
        open_nodes.remove(node)
        piece.insert(0, node)
        leaves.discard(node.outputs[0])
        operands = _operands(node)
        if operands is None or (node is not root and not _is_inner(node, piece)):
            return
        leaves.update(operands)
        producers = {leaf.producer() for leaf in leaves}
        open_nodes = [producer for producer in producers if producer is not None]
        if len(leaves) == 1:
            yield next(iter(leaves)), list(piece)


def _operands(node: ir.Node) -> list[ir.Value] | None:
    """The activations that a node maps element by element; None for a node that does something else."""
    if node.op_type in ("Clip", "Relu"):
        return None if interval_of(node) is None or node.inputs[0] is None else [node.inputs[0]]
    if node.op_type not in _COMPUTE:
        return None
    operands = []
    for value in node.inputs:
        number = constant(value)
        if value is None or (number is not None and number.size != 1):
            return None
        if number is None:
            operands.append(value)
    shape = shape_of(node.outputs[0])
    return operands if operands and all(shape_of(value) == shape for value in operands) else None


def _is_inner(node: ir.Node, piece: list[ir.Node]) -> bool:
    value = node.outputs[0]
    return not value.is_graph_output() and all(use.node in piece for use in value.uses())


def _recognised(source: ir.Value, piece: list[ir.Node]) -> _Form | None:
    """The activation that a piece of graph computes from ``source``, if any."""
    operators = {node.op_type for node in piece}
    candidates = [form for form in _FORMS if form.sign in operators]
    if not candidates:
        return None
    points = _points(piece)
    with np.errstate(all="ignore"):
        computed = _evaluate(source, points, piece)
        for form in candidates:
            if np.allclose(computed, form.compute(points), rtol=TOLERANCE, atol=TOLERANCE):
                return form
    return None


def _points(piece: list[ir.Node]) -> Points:
    """Where a piece is compared with a form: also around its own numbers, beyond which a clip would show."""
    numbers = [number for node in piece for value in node.inputs if (number := constant(value)) is not None]
    own = np.abs([number.astype(np.float64).reshape(()) for number in numbers])
    return np.concatenate(
        [_POINTS, *(sign * factor * own[np.isfinite(own)] for sign in (-1, 1) for factor in (1.01, 10))]
    )


def _evaluate(source: ir.Value, points: Points, piece: list[ir.Node]) -> Points:
    values: dict[ir.Value | None, Points] = {source: points}
    for node in piece:
        operands = [_operand(value, values) for value in node.inputs]
        interval = interval_of(node)
        if interval is not None:
            values[node.outputs[0]] = np.clip(operands[0], interval.low, interval.high)
        else:
            values[node.outputs[0]] = _COMPUTE[node.op_type](*operands)
    return values[piece[-1].outputs[0]]


def _operand(value: ir.Value | None, values: dict[ir.Value | None, Points]) -> Points:
    number = constant(value)
    return values[value] if number is None else number.astype(np.float64).reshape(())
