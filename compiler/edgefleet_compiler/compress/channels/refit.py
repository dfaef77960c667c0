"""Refit: layers get the weights that bring them nearest to what they gave before channels went.

Source: He, Zhang, Sun 2017, "Channel Pruning for Accelerating Very Deep Neural Networks", arXiv:1707.06168, section
3.1, reconstruction by linear least squares, and section 3.2: in the order of the graph, each layer by the inputs that
it has once those before it are refitted; the last layer in front of an Add makes up for what the other operand is off
by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.compress.channels.elimination import ridge
from edgefleet_compiler.compress.channels.groups import Grouping, Weighted
from edgefleet_compiler.compress.least_squares import fitted
from edgefleet_compiler.compress.linear import Linear
from edgefleet_compiler.compress.moments import Gathering, Moments, Pool
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, sole_consumer
from edgefleet_compiler.hub.passage import Passage
from edgefleet_compiler.quantise.channel_rules import given
from edgefleet_compiler.quantise.rounding.gram import POSITIONS
from edgefleet_compiler.quantise.rounding.quadratic import Matrices
from edgefleet_compiler.tensors import Sample

_SEED = 0
"""Of the positions that stand for all."""

_ROWS = 16 * 1024
"""Rows of inputs that are enough to fit a layer by."""

_RIDGE = 0.1
"""What moving a weight costs, as a share of what its input carries: the cases are not all there is."""


def refitted(
    hub: ir.Model,
    masked: ir.Model,
    grouping: Grouping,
    gone: NDArray[np.intp],
    cases: Sequence[Sample],
    on_layer: Callable[[], None] = lambda: None,
) -> None:
    """Give the layers of a masked hub other weights and biases, in place.

    Args:
        hub: As it was; it is not changed.
        masked: The same with zeros for the weights that read channels that go.
        grouping: Its channels.
        gone: Classes that go.
        cases: Typical inputs.
        on_layer: Called after each layer.
    """
    editor = Editor(masked.graph)
    before, after = Passage(hub, cases), Passage(masked, cases)
    names = {node.name: node for node in hub.graph}
    order = {node: place for place, node in enumerate(masked.graph)}
    positions = max(1, min(POSITIONS, _ROWS // len(cases)))
    touched = False
    for weighted in grouping.layers:
        linear = Linear(weighted.node, positions)
        touched |= weighted.parts == 1 and bool(np.isin(weighted.reads, gone).any())
        if touched and linear.can_be_fitted:
            original = names[weighted.node.name]
            wanted = _wanted(linear, original, order, before, after)
            pool = Pool(Gathering(linear.groups, linear.inputs, linear.channels))
            random = np.random.default_rng(_SEED)
            for activation, results in zip(after.values(given(linear.node, 0), linear.node), wanted, strict=True):
                pool.add(linear.rows(activation, random), results)
            _fit(editor, linear, _left(weighted, linear.inputs, gone), pool.moments())
        on_layer()


def _wanted(
    linear: Linear, original: ir.Node, order: dict[ir.Node, int], before: Passage, after: Passage
) -> list[NDArray[Any]]:
    """What the layer is to give in each case."""
    random = np.random.default_rng(_SEED)
    other = _other_operand(linear.node, order)
    if other is None:
        return [linear.results(output, random) for output in before.values(original.outputs[0], original)]
    joined = sole_consumer(original.outputs[0])
    assert joined is not None
    present = _drawn(linear, after.values(other, linear.node))
    sums = _drawn(linear, before.values(joined.outputs[0], original))
    return [each - there for each, there in zip(sums, list(present), strict=True)]


def _drawn(linear: Linear, values: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    random = np.random.default_rng(_SEED)
    return (linear.results(value, random) for value in values)


def _other_operand(node: ir.Node, order: dict[ir.Node, int]) -> ir.Value | None:
    """What the layer's result is added to, where nothing of that is refitted later."""
    joined = sole_consumer(node.outputs[0])
    if joined is None or joined.op_type != "Add":
        return None
    other = next((value for value in joined.inputs if value is not node.outputs[0]), None)
    if other is None or constant(other) is not None or other.shape != node.outputs[0].shape:
        return None
    producer = other.producer()
    return other if producer is None or order[producer] < order[node] else None


def _left(weighted: Weighted, inputs: int, gone: NDArray[np.intp]) -> NDArray[np.intp]:
    """The inputs of a matrix that stay; all of them in a layer of parts, whose matrices go whole."""
    return np.arange(inputs) if weighted.parts > 1 else np.flatnonzero(~np.isin(weighted.columns(inputs), gone))


def _fit(editor: Editor, linear: Linear, left: NDArray[np.intp], moments: Moments) -> None:
    """Least squares, with a price for moving weights."""
    matrices, biases = linear.matrices(), linear.biases()
    places = np.append(left, linear.inputs) if linear.takes_bias else left
    weights = np.concatenate([matrices, biases[..., np.newaxis]], axis=2)[..., places]
    squares = moments.augmented_inputs
    damping = ridge(squares, _RIDGE)[:, places]
    squares = squares[:, places[:, np.newaxis], places]
    damped = squares + np.eye(len(places)) * damping[:, np.newaxis]
    both: Matrices = np.zeros((*matrices.shape[:2], linear.inputs + 1))
    both[..., places] = fitted(weights, squares, moments.augmented_cross[..., places], damped)
    linear.store(editor, both[..., :-1], both[..., -1] if linear.takes_bias else None)
