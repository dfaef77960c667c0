"""Trials: a quantised hub whose ranges can be changed, or left out, without making another session.

QuantizeLinear and DequantizeLinear become what they compute on reals: divide by the scale, round half to even, clip,
multiply. Scale and bounds are inputs of the graph. A scale of a power of two far below float32's step, and no bounds,
make of this the identity, bit by bit: that is how a pair is left out. Constants are the reals that their integers stand
for, or those of the float hub. Biases keep the rounding that they have in the quantised hub: in the steps of int32 it
is far below all else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, name_of, shape_of
from edgefleet_compiler.hub.pairs import widen_constants
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.quantise.parameters import Parameters
from edgefleet_compiler.quantise.search.reference import Array, Measure, Reference, watching

Choice = Mapping[str, Parameters | None]
"""Parameters by the name of what a pair rounds; None where it does not."""

_AGAIN = "/rescaled"
_NO_ROUNDING = 2.0**-64, -np.inf, np.inf


@dataclass(frozen=True)
class _Pair:
    """Scale, lower and upper bound of a pair, all inputs of the graph."""

    inputs: tuple[str, ...]
    parameters: Parameters


class Trial:
    """A session to try parameters of activations in.

    Args:
        hub: The float hub.
        quantised: What ``quantise_int8`` made of it; it is not changed.
        reference: Of the float hub.
        rounded: Names of the layers that have their constants from ``quantised``; None for all of them.
    """

    def __init__(
        self, hub: ir.Model, quantised: ir.Model, reference: Reference, *, rounded: Collection[str] | None = None
    ) -> None:
        model = quantised.clone()
        if rounded is not None:
            _restore_constants(model, hub, rounded)
        widen_constants(model)
        self._pairs = _open_pairs(model)
        self._reference = reference
        self._session = Session(watching(model, reference.watched))

    @property
    def parameters(self) -> dict[str, Parameters]:
        """What each pair has in the quantised hub, by the name of the activation; of a second pair, ``…/rescaled``."""
        return {name: pair.parameters for name, pair in self._pairs.items()}

    def measure(self, choice: Choice) -> Measure:
        """Run all cases of the reference.

        Args:
            choice: What pairs have in this trial; those that it does not name have what the quantised hub gives them.
        """
        feeds: dict[str, NDArray[np.generic]] = {}
        rounding: dict[str, Callable[[Array], Array]] = {}
        for name, pair in self._pairs.items():
            numbers = _numbers(choice.get(name, pair.parameters))
            feeds.update(zip(pair.inputs, (np.array(number, np.float32) for number in numbers), strict=True))
            rounding[name] = _rounding(*numbers)
        return self._reference.measure(self._reference.run(self._session, feeds), rounding)

    def measure_only(self, choice: Choice) -> Measure:
        """The same with all pairs left out that ``choice`` does not name."""
        return self.measure({**dict.fromkeys(self._pairs), **choice})


def pair_parameters(quantised: ir.Model) -> dict[str, Parameters]:
    """What the pairs of a quantised hub round with, by the name of the activation; of further pairs, ``…/rescaled``."""
    return {
        _name_of_pair(quantise, dequantise): _parameters(quantise)
        for quantise in quantised.graph
        if quantise.op_type == "QuantizeLinear"
        for dequantise in quantise.outputs[0].consumers()
    }


def pairs_of(names: Iterable[str], activations: Iterable[str]) -> list[str]:
    """Those of the pairs, by name, that round one of the activations, once more included."""
    wanted = set(activations)
    return [name for name in names if name in wanted or name.partition(_AGAIN)[0] in wanted]


def _name_of_pair(quantise: ir.Node, dequantise: ir.Node) -> str:
    source = quantise.inputs[0]
    assert source is not None
    return name_of(source if source.is_graph_input() else dequantise.outputs[0])


def _parameters(quantise: ir.Node) -> Parameters:
    scale, zero_point = constant(quantise.inputs[1]), constant(quantise.inputs[2])
    assert scale is not None
    assert zero_point is not None
    return Parameters(float(scale), int(zero_point), "int16" if zero_point.dtype == np.int16 else "int8")


def _numbers(parameters: Parameters | None) -> tuple[float, float, float]:
    """Scale, lower and upper bound in steps from zero."""
    if parameters is None:
        return _NO_ROUNDING
    limits, zero_point = np.iinfo(parameters.dtype), parameters.zero_point
    return parameters.scale, float(limits.min - zero_point), float(limits.max - zero_point)


def _rounding(scale: float, low: float, high: float) -> Callable[[Array], Array]:
    return lambda array: np.clip(np.rint(array / scale), low, high) * scale


def _restore_constants(model: ir.Model, hub: ir.Model, rounded: Collection[str]) -> None:
    """Let the layers that are not ``rounded`` have their constants as the float hub has them."""
    editor = Editor(model.graph)
    originals = {node.name: node for node in hub.graph}
    for node in list(model.graph):
        original = originals.get(node.name)
        if original is None or node.name in rounded:
            continue
        for index, value in enumerate(node.inputs):
            array = constant(original.inputs[index]) if index < len(original.inputs) else None
            if value is not None and array is not None and constant(value) is None:
                node.replace_input_with(index, editor.constant(array, f"{name_of(value)}/float"))


def _open_pairs(model: ir.Model) -> dict[str, _Pair]:
    """Put arithmetic in the place of pairs, in place, with parameters that are inputs of the graph."""
    graph = model.graph
    editor = Editor(graph)
    pairs = {}
    for quantise in [node for node in graph if node.op_type == "QuantizeLinear"]:
        source = quantise.inputs[0]
        assert source is not None
        for dequantise in quantise.outputs[0].consumers():
            name = _name_of_pair(quantise, dequantise)
            inputs = [_number(editor, f"{name}/{what}") for what in ("scale", "low", "high")]
            rounded = _rounded(editor, source, inputs, before=dequantise)
            editor.replace(dequantise.outputs[0], rounded)
            if not source.is_graph_input():
                rounded.name = name
            graph.remove(dequantise, safe=True)
            pairs[name] = _Pair(tuple(map(name_of, inputs)), _parameters(quantise))
        graph.remove(quantise, safe=True)
    return pairs


def _number(editor: Editor, name: str) -> ir.Value:
    """A new input of the graph that takes one float32 number."""
    value = ir.Value(name=editor.value_name(name), shape=ir.Shape(()), type=ir.TensorType(ir.DataType.FLOAT))
    editor.graph.inputs.append(value)
    return value


def _rounded(editor: Editor, source: ir.Value, inputs: list[ir.Value], before: ir.Node) -> ir.Value:
    scale, low, high = inputs
    value = source
    steps: tuple[tuple[str, list[ir.Value]], ...] = (
        ("Div", [scale]),
        ("Round", []),
        ("Clip", [low, high]),
        ("Mul", [scale]),
    )
    for operator, others in steps:
        name = f"{name_of(source)}/{operator}"
        value = editor.node(operator, [value, *others], name=name, shape=shape_of(source), before=before)
    return value
