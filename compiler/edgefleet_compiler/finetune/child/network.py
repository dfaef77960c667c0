"""A hub as a function in TensorFlow: of batches, with variables in the place of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from edgefleet_compiler.finetune.child.families import FAMILIES
from edgefleet_compiler.finetune.child.held import Held, Tensor
from edgefleet_compiler.finetune.child.site import Operand, Site, refusal
from edgefleet_compiler.hub.graph import Constant, constant, name_of, shape_of
from edgefleet_compiler.hub.pairs import PAIR


class Network:
    """Computes a hub.

    Args:
        model: Float, or with pairs; in hub normal form, but for those.
        weights: The variables that stand for weights, by the name of the constant in the float hub.
        names: Of a hub with pairs: which stored constant stands for which weight of the float hub.

    Raises:
        OperatorUnsupported: It has operators that training does not take; all of them are named.
    """

    def __init__(self, model: ir.Model, weights: Mapping[str, Any], names: Mapping[str, str] | None = None) -> None:
        self._graph = model.graph
        self._weights = dict(weights)
        self._weights |= {stored: weights[name] for stored, name in (names or {}).items()}
        self._parameters = {name: tf.Variable(array, trainable=False) for name, array in _parameters(model).items()}
        _check(model)

    @property
    def signature(self) -> tuple[str, ...]:
        """The parameters that ``refresh`` gives other values: hubs of equal signatures differ in these alone."""
        return tuple(self._parameters)

    def refresh(self, model: ir.Model) -> None:
        """Take the scales, zero points and stored constants of a hub of the same signature."""
        for name, array in _parameters(model).items():
            self._parameters[name].assign(array)

    def __call__(self, inputs: Sequence[Tensor]) -> dict[str, Held]:
        """Every value of the graph, by name.

        Args:
            inputs: In the order of the graph, any number of cases each.

        Raises:
            OperatorUnsupported: A node is of a form that training does not take.
        """
        values = {name_of(value): Held(given) for value, given in zip(self._graph.inputs, inputs, strict=True)}
        for node in self._graph:
            site = Site(node, [self._operand(value, values) for value in node.inputs])
            if any(shape_of(output)[:1] != (1,) for output in node.outputs if output.name) and not _is_constant(site):
                site.refuse("it leaves no batch in front")
            for output, held in zip(node.outputs, FAMILIES[node.op_type](site), strict=True):
                values[name_of(output)] = held
        return values

    def outputs(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The outputs of the graph, in order."""
        values = self(inputs)
        return [values[name_of(value)].plain for value in self._graph.outputs]

    def _operand(self, value: ir.Value | None, values: Mapping[str, Held]) -> Operand | None:
        if value is None:
            return None
        name, shape = name_of(value), shape_of(value)
        if name in self._weights:
            return Operand(Held(self._weights[name]), None, shape, is_trained=True)
        array = constant(value)
        if array is None:
            return Operand(values[name], None, shape, is_activation=not _is_widened(value))
        held = Held(self._parameters[name] if name in self._parameters else tf.constant(array))
        return Operand(held, array, shape)


def _is_constant(site: Site) -> bool:
    return not any(operand.is_activation for operand in site.operands if operand is not None)


def _is_widened(value: ir.Value) -> bool:
    """Whether a value is what a DequantizeLinear makes of a constant."""
    node = value.producer()
    return node is not None and node.op_type == "DequantizeLinear" and constant(node.inputs[0]) is not None


def _parameters(model: ir.Model) -> dict[str, Constant]:
    """What pairs and DequantizeLinears read that is constant, as float32."""
    found = {}
    for node in model.graph:
        for value in node.inputs if node.op_type in PAIR else ():
            array = constant(value)
            if value is not None and array is not None:
                found[name_of(value)] = array.astype(np.float32)
    return found


def _check(model: ir.Model) -> None:
    refused = [(node, "training does not know the operator") for node in model.graph if node.op_type not in FAMILIES]
    if refused:
        raise refusal(refused)


def logits_of(graph: ir.Graph) -> tuple[str, str]:
    """Where the numbers stand whose Softmax or Sigmoid the first output is.

    Args:
        graph: Float or with pairs, which are looked through.

    Returns:
        The name of the value, and the operator: "Softmax", "Sigmoid", or "" where the output has neither.
    """
    value = graph.outputs[0]
    node = value.producer()
    while node is not None and node.op_type in PAIR:
        node = node.inputs[0].producer() if node.inputs[0] is not None else None
    if node is None or node.op_type not in ("Softmax", "Sigmoid") or node.inputs[0] is None:
        return name_of(value), ""
    return name_of(node.inputs[0]), node.op_type
