"""Quantised ONNX files in one form: QuantizeLinear and DequantizeLinear around operators on reals.

Exporters write the same network in several: with QDQ pairs, with QOperator nodes, with integers that are merely moved
(a MaxPool or Reshape of uint8), with integers at inputs and outputs. After this, every operator but the pairs computes
on reals, and so does the border.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSequence
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper

from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.hub.pairs import PAIR, has_pairs, widen_constants
from edgefleet_compiler.importers.onnx_qoperators import (
    MICROSOFT,
    Operand,
    Parameters,
    Unfolded,
    bias_scale,
    pair_node,
    quantised_operands,
    unfold,
)
from edgefleet_compiler.passes.quantised_constants import store_quantised_constants
from edgefleet_compiler.passes.signed import sign_integers
from edgefleet_contract.errors import ModelMalformed

_NARROW: Final = (
    onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT16, onnx.TensorProto.UINT16,
)  # fmt: skip
# Operators that move or compare integers as they are; the indices of the inputs that are reals in the end.
_MOVING: Final[dict[str, tuple[int, ...] | None]] = {
    "Clip": (0, 1, 2),
    "Concat": None,
    "DepthToSpace": (0,),
    "Expand": (0,),
    "Flatten": (0,),
    "Gather": (0,),
    "Identity": (0,),
    "MaxPool": (0,),
    "Pad": (0, 2),
    "Reshape": (0,),
    "Resize": (0,),
    "Slice": (0,),
    "SpaceToDepth": (0,),
    "Split": (0,),
    "Squeeze": (0,),
    "Transpose": (0,),
    "Unsqueeze": (0,),
}


def unfold_quantised(proto: onnx.ModelProto) -> None:
    """Bring a quantised model to pairs around operators on reals, in place; a float one is not changed.

    What this does not know (weights quantised at run time, operators of other domains) stays, to be refused by name.
    """
    if any(node.op_type in PAIR or unfold(node) is not None for node in proto.graph.node):
        _Unfolding(proto.graph).run()


def normalise_pairs(model: ir.Model) -> None:
    """Let constants be stored as they are used, and all integers be signed, in place.

    Weights alone in integers are made reals: nothing of the computation is quantised then.

    Raises:
        ModelMalformed: A scale is not positive.
    """
    _check_scales(model.graph)
    sign_integers(model)
    store_quantised_constants(model)
    if not has_pairs(model):
        widen_constants(model)


def _check_scales(graph: ir.Graph) -> None:
    for node in graph:
        scale = constant(node.inputs[1]) if node.op_type in PAIR else None
        if scale is not None and not np.all(np.isfinite(scale) & (scale > 0)):
            raise ModelMalformed(
                f"The node {node.name!r} ({node.op_type}) has the scale {scale.min()}",
                expected="positive numbers",
                remedy="Quantise the model again.",
                node=node.name,
            )


class _Unfolding:
    """One graph on its way to pairs.

    Args:
        graph: Changed in place.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._constants |= {node.output[0]: numpy_helper.to_array(value) for node, value in _constant_nodes(graph)}
        self._names = {name for node in graph.node for name in (*node.input, *node.output)} | set(self._constants)
        self._parameters: dict[str, Parameters] = {}
        self._real: dict[str, str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def run(self) -> None:
        # Constants first: pairs at the inputs read scales among them.
        nodes = list(self._graph.node)
        self._nodes += [node for node in nodes if node.op_type == "Constant"]
        nodes = [node for node in nodes if node.op_type != "Constant"]
        self._take_reals(nodes)
        for node in nodes:
            self._rewrite(node)
        self._give_reals()
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        del self._graph.value_info[:]  # types of inner values have changed

    # --- the border ------------------------------------------------------------------------------------------------

    def _take_reals(self, nodes: list[onnx.NodeProto]) -> None:
        """Let inputs that are integers with known parameters be reals, quantised at once."""
        for value in self._graph.input:
            if value.type.tensor_type.elem_type not in _NARROW or value.name in self._constants:
                continue
            parameters = _parameters_of_reader(value.name, nodes)
            if parameters is None:
                continue
            integers = self._fresh(f"{value.name}/quantised")
            for node in nodes:
                _rename(node.input, value.name, integers)
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            self._quantise(value.name, parameters, integers)

    def _give_reals(self) -> None:
        """Let outputs that are integers with known parameters be the reals that they stand for."""
        for value in self._graph.output:
            parameters = self._parameters.get(value.name)
            if parameters is None:
                continue
            integers = self._fresh(f"{value.name}/integers")
            for node in self._nodes:
                _rename(node.input, value.name, integers)
                _rename(node.output, value.name, integers)
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            self._nodes.append(pair_node("DequantizeLinear", integers, parameters, value.name))

    # --- nodes -----------------------------------------------------------------------------------------------------

    def _rewrite(self, node: onnx.NodeProto) -> None:
        if node.op_type in PAIR:
            self._keep_pair(node)
        elif (unfolded := unfold(node)) is not None:
            self._unfold(node, unfolded)
        elif node.op_type in _MOVING and node.input and node.input[0] in self._parameters:
            self._move_reals(node)
        else:
            self._nodes.append(node)

    def _keep_pair(self, node: onnx.NodeProto) -> None:
        if node.domain == MICROSOFT:
            node.ClearField("domain")  # the same operators, there before ai.onnx had 16 bits
        self._nodes.append(node)
        if node.op_type == "QuantizeLinear":
            self._parameters[node.output[0]] = Parameters(node.input[1], node.input[2] if len(node.input) > 2 else "")

    def _unfold(self, node: onnx.NodeProto, unfolded: Unfolded) -> None:
        inputs = [self._dequantise(operand) for operand in unfolded.operands]
        if unfolded.bias is not None:
            inputs.append(self._dequantised_bias(unfolded, unfolded.bias))
        self._emit(node, unfolded.operator, inputs, unfolded.attributes, unfolded.result)

    def _move_reals(self, node: onnx.NodeProto) -> None:
        """Move reals instead of integers, between a DequantizeLinear and a QuantizeLinear of the same parameters."""
        parameters = self._parameters[node.input[0]]
        real = _MOVING[node.op_type]
        indices = range(len(node.input)) if real is None else real
        inputs = list(node.input)
        for index in indices:
            if index < len(inputs) and inputs[index]:
                inputs[index] = self._dequantise(Operand(inputs[index], parameters))
        if node.op_type == "Pad" and len(inputs) == 2:
            inputs.append(self._dequantise(Operand(self._integer_zero(parameters), parameters)))
        self._emit(node, node.op_type, inputs, list(node.attribute), parameters)

    def _emit(
        self,
        node: onnx.NodeProto,
        operator: str,
        inputs: list[str],
        attributes: Iterable[onnx.AttributeProto],
        result: Parameters | None,
    ) -> None:
        """The operator on reals, under the node's name, and a QuantizeLinear for each of its outputs."""
        real = onnx.NodeProto(op_type=operator, name=node.name or node.output[0], input=inputs)
        real.attribute.extend(attributes)
        self._nodes.append(real)
        for output in node.output:
            if result is None or not output:
                real.output.append(output)
                continue
            raw = self._fresh(f"{output}/raw")
            real.output.append(raw)
            self._quantise(raw, result, output)

    # --- pairs -----------------------------------------------------------------------------------------------------

    def _quantise(self, value: str, parameters: Parameters, output: str) -> None:
        self._nodes.append(pair_node("QuantizeLinear", value, parameters, output))
        self._parameters[output] = parameters

    def _dequantise(self, operand: Operand) -> str:
        """The reals of an operand, made once."""
        if operand.name not in self._real:
            scale = self._constants.get(operand.parameters.scale)
            axis = operand.axis if scale is not None and scale.size > 1 else None
            name = self._fresh(f"{operand.name}/dequantised")
            self._nodes.append(pair_node("DequantizeLinear", operand.name, operand.parameters, name, axis=axis))
            self._real[operand.name] = name
        return self._real[operand.name]

    def _dequantised_bias(self, unfolded: Unfolded, bias: str) -> str:
        scale = bias_scale(unfolded, self._constants)
        if scale is None:
            return bias
        name = self._constant(f"{bias}/scale", scale if scale.size > 1 else scale.reshape(()))
        return self._dequantise(Operand(bias, Parameters(name, ""), axis=0))

    def _integer_zero(self, parameters: Parameters) -> str:
        """What Pad fills with where nothing is given: the integer 0, which need not stand for the real one."""
        zero_point = self._constants.get(parameters.zero_point)
        dtype = np.dtype(np.uint8) if zero_point is None else zero_point.dtype
        return self._constant("filling", np.zeros((), dtype))

    def _constant(self, base: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
        name = self._fresh(base)
        self._graph.initializer.append(numpy_helper.from_array(array, name))
        self._constants[name] = array
        return name

    def _fresh(self, base: str) -> str:
        name, number = base, 0
        while name in self._names:
            number += 1
            name = f"{base}_{number}"
        self._names.add(name)
        return name


def _constant_nodes(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, onnx.TensorProto]]:
    """The Constant nodes that hold a tensor."""
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            yield node, node.attribute[0].t


def _parameters_of_reader(name: str, nodes: list[onnx.NodeProto]) -> Parameters | None:
    """The parameters by which an input is read, through nodes that only move it."""
    reached = {name}
    for node in nodes:
        for operand in quantised_operands(node):
            if operand.name in reached:
                return operand.parameters
        if node.op_type in _MOVING and node.input and node.input[0] in reached:
            reached.update(node.output)
    return None


def _rename(names: MutableSequence[str], old: str, new: str) -> None:
    for index, name in enumerate(names):
        if name == old:
            names[index] = new
