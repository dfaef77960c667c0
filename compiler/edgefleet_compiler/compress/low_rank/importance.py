"""How much the model's outputs change with the channels of a layer, measured by nudging these.

The matrix G has in row i and column j the mean of the products of what nudges of channels i and j do to the outputs:
of a small change e of the layer's channels, e G eᵀ is the mean square of the outputs' change. It is the Gauss-Newton
approximation of the loss (Martens and Grosse 2015, "Optimizing Neural Networks with Kronecker-factored Approximate
Curvature", section 2), whose Jacobian is measured by differences, since the hub has no derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.compress.low_rank.algebra import Matrix
from edgefleet_compiler.compress.low_rank.varied import Varied
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import name_of, products, shape_of
from edgefleet_compiler.passes.dead_code import remove_dead_code
from edgefleet_compiler.quantise.rounding.gram import in_steps
from edgefleet_compiler.tensors import Sample

DAMPING = 0.01
"""Added to the diagonal, as a share of its mean: what no case shows to matter may matter in another."""

_NUDGE = 2.0**-4
"""Of the root mean square of what the layer gives: far above float32's step, and below what factors change."""

_MOST_CASES, _FEWEST_CASES, _MOST_PRODUCTS = 48, 4, 5_000_000_000
"""As many cases are nudged as this many multiply-accumulates allow."""

_ELEMENTS = 4096
"""Of each output, evenly spread. So many products of two 20 bit numbers add up exactly within 53 bits."""

_SQUASHING = ("LogSoftmax", "Sigmoid", "Softmax")


def importance(hub: ir.Model, layer: str, cases: Sequence[Sample]) -> Matrix:
    """The matrix G of one layer, damped, shape (channels, channels).

    Args:
        hub: Float, in hub normal form; it is not changed.
        layer: Name of a node whose channels are the second axis (Conv) or the last one.
        cases: Typical inputs; at least one.
    """
    nudged = _Nudged(hub, layer, cases[0])
    affordable = _MOST_PRODUCTS // max(products(hub.graph) * nudged.channels, 1)
    count = min(len(cases), _MOST_CASES, max(_FEWEST_CASES, affordable))
    chosen = [cases[index] for index in np.linspace(0, len(cases) - 1, count).astype(int)]
    responses = np.concatenate(
        [nudged.responses(case, np.random.default_rng(number)) for number, case in enumerate(chosen)], axis=1
    )
    found = _squares(responses)
    mean = float(np.trace(found)) / len(found)
    return found + (DAMPING * mean if mean > 0 else 1.0) * np.eye(len(found))


def _squares(responses: NDArray[np.float64]) -> Matrix:
    """The products of all rows with all rows; exact sums, which no number of threads changes."""
    found = np.zeros((len(responses), len(responses)))
    for start in range(0, responses.shape[1], _ELEMENTS):
        block, step = in_steps(responses[:, start : start + _ELEMENTS])
        found += (block @ block.T) * step**2
    return found


class _Nudged:
    """A hub that takes what is added to a layer's output as one more input."""

    def __init__(self, hub: ir.Model, layer: str, case: Sample) -> None:
        copy = hub.clone()
        node = next(node for node in copy.graph if node.name == layer)
        given, axis = node.outputs[0], 1 if node.op_type == "Conv" else -1
        self._shape = shape_of(given)
        self._axis = axis % len(self._shape)
        self.channels = self._shape[self._axis]
        nudge = _with_nudge(Editor(copy.graph), node)
        copy.graph.outputs[:] = [given, *dict.fromkeys(map(_before_squashing, copy.graph.outputs))]
        remove_dead_code(copy)
        self._varied = Varied(copy, nudge, self._nudges(np.random.default_rng(0), 1.0), case)

    def responses(self, case: Sample, random: np.random.Generator) -> NDArray[np.float64]:
        """What nudges of each channel do to the outputs, over the outputs' size; shape (channels, elements)."""
        given, *before = self._varied.run(case, np.zeros((1, *self._shape), np.float32))
        size = float(np.sqrt(np.square(given, dtype=np.float64).mean())) * _NUDGE or _NUDGE
        _, *after = self._varied.run(case, self._nudges(random, size))
        return np.concatenate(list(map(_changes, before, after)), axis=1) / size

    def _nudges(self, random: np.random.Generator, size: float) -> NDArray[np.float32]:
        """One for each channel, shape (channels, ...).

        A channel is nudged at all its places at once, each up or down at random, and the next channel as this one was:
        products of what two places do to the outputs cancel on average (Hutchinson 1990, "A Stochastic Estimator of the
        Trace").
        """
        places = tuple(1 if axis == self._axis else length for axis, length in enumerate(self._shape))
        signs = np.where(random.integers(0, 2, places), np.float32(size), np.float32(-size))
        channels = np.eye(self.channels, dtype=np.float32)
        along = [self.channels if axis == self._axis else 1 for axis in range(len(self._shape))]
        return channels.reshape(self.channels, *along) * signs


def _with_nudge(editor: Editor, node: ir.Node) -> str:
    """Add an input to what a layer gives, in place; the input's name."""
    given = node.outputs[0]
    shape = shape_of(given)
    nudge = ir.Value(name=editor.value_name("nudge"), shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))
    uses, outputs = list(given.uses()), editor.graph.outputs
    total = editor.node("Add", [given, nudge], name=f"{node.name}/nudged", shape=shape, after=node)
    for use in uses:
        use.node.replace_input_with(use.idx, total)
    outputs[:] = [total if value is given else value for value in outputs]
    editor.graph.inputs.append(nudge)
    return name_of(nudge)


def _changes(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float64]:
    """Of some elements of an output, over the root mean square of what they were; shapes (nudges, elements)."""
    apart = slice(None, None, -(-before.shape[1] // _ELEMENTS))
    one, other = before[:, apart].astype(np.float64), after[:, apart]
    change: NDArray[np.float64] = (other - one) / (float(np.sqrt(np.square(one).mean())) or 1.0)
    return change


def _before_squashing(output: ir.Value) -> ir.Value:
    """What a last Softmax is computed of: where that is sure of its answer, nothing seems to matter."""
    producer = output.producer()
    if producer is None or producer.op_type not in _SQUASHING or producer.inputs[0] is None:
        return output
    return producer.inputs[0]
