"""Post-training quantisation to int8, as QDQ pairs in the hub.

Source: TensorFlow Lite 8-bit quantization specification: activations int8, asymmetric, per tensor; weights int8,
symmetric, per output channel; biases int32 with scale input scale times weight scale. Where pairs stand says
``placement``; how numbers become integers says ``parameters``.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, name_of, shape_of
from edgefleet_compiler.quantise.calibrate import Ranges
from edgefleet_compiler.quantise.operators import SHARING, WEIGHTED, data_inputs
from edgefleet_compiler.quantise.parameters import (
    Parameters,
    bias_scales,
    parameters_of_range,
    quantise_bias,
    quantise_weights,
    weight_scales,
    widened_for_bias,
)
from edgefleet_compiler.quantise.placement import Group, Placement, place
from edgefleet_compiler.quantise.saturation import multiplies_pairs, narrowed_scales, quantise_narrow
from edgefleet_compiler.quantise.settings import Settings


def quantise_int8(model: ir.Model, ranges: Ranges, settings: Settings) -> ir.Model:
    """A quantised copy of a float hub.

    Args:
        model: In hub normal form; it is not changed.
        ranges: From ``calibrate`` of the same model.
        settings: What is asked for.

    Returns:
        The same graph with QDQ pairs. What a pair gives carries the name of the activation, so that nodes and graph
        outputs keep their names; what goes into it is called ``NAME/raw``.
    """
    copy = model.clone()
    return _Quantiser(copy, place(copy.graph), ranges, settings).run()


class _Quantiser:
    def __init__(self, model: ir.Model, placement: Placement, ranges: Ranges, settings: Settings) -> None:
        self._model = model
        self._placement = placement
        self._ranges = ranges
        self._settings = settings
        self._editor = Editor(model.graph)
        self._parameters: dict[ir.Value, Parameters] = {}

    def run(self) -> ir.Model:
        # Operands before pairs: a pair takes the value it stands for away from the node that uses it.
        groups = [(group, self._group_parameters(group)) for group in self._placement.groups]
        for group, shared in groups:
            for value in group.values:
                self._parameters[value] = self._placement.own.get(value, shared)
        for node in self._placement.nodes:
            self._quantise_operands(node)
        for group, shared in groups:
            stored = self._store(shared, name_of(group.values[0]))
            for value in group.values:
                self._insert_pairs(value, shared, stored)
        return self._model

    def _group_parameters(self, group: Group) -> Parameters:
        if group.fixed is not None:
            return group.fixed
        low, high = group.constant_range()
        for value in group.observed:
            observed = self._ranges[name_of(value)]
            low, high = min(low, observed.low), max(high, observed.high)
        return parameters_of_range(low, high)

    # --- activations -------------------------------------------------------------------------------------------------

    def _insert_pairs(self, value: ir.Value, shared: Parameters, stored: tuple[ir.Value, ir.Value]) -> None:
        """Let all uses of the value go through a pair; those that share its group's parameters, through the group's."""
        own = self._placement.own.get(value)
        if own is None:
            self._insert_pair(value, stored, list(value.uses()))
            return
        uses = list(value.uses())
        sharing = [use for use in uses if use.node.op_type in SHARING and use.node.outputs[0] in self._parameters]
        name = name_of(value)
        dequantised = self._insert_pair(value, self._store(own, name), uses)
        if own != shared and sharing:
            self._insert_pair(dequantised, stored, sharing, rescaled=True)

    def _insert_pair(
        self,
        value: ir.Value,
        stored: tuple[ir.Value, ir.Value],
        uses: Iterable[tuple[ir.Node, int]],
        *,
        rescaled: bool = False,
    ) -> ir.Value:
        name, shape, producer = name_of(value), shape_of(value), value.producer()
        keeps_name = producer is not None and not rescaled
        is_output = value.is_graph_output() and keeps_name
        if keeps_name:
            value.name = self._editor.value_name(f"{name}/raw")
        suffix = "rescaled" if rescaled else "dequantised"
        quantised = self._editor.node(
            "QuantizeLinear",
            [value, *stored],
            name=f"{name}/quantise",
            output=f"{name}/{'rescaled/' if rescaled else ''}quantised",
            shape=shape,
            dtype=ir.DataType.INT8,
            before=None if producer is not None else self._model.graph[0],
            after=producer,
        )
        dequantised = self._editor.node(
            "DequantizeLinear",
            [quantised, *stored],
            name=f"{name}/dequantise",
            output=f"{name}/{suffix}",
            shape=shape,
            after=quantised.producer(),
        )
        for node, index in uses:
            node.replace_input_with(index, dequantised)
        if is_output:
            outputs = self._model.graph.outputs
            outputs[outputs.index(value)] = dequantised
        if keeps_name:
            dequantised.name = name
        return dequantised

    def _store(self, parameters: Parameters, name: str) -> tuple[ir.Value, ir.Value]:
        """Scale and zero point as initializers."""
        return (
            self._editor.constant(np.array(parameters.scale, np.float32), f"{name}/scale"),
            self._editor.constant(np.array(parameters.zero_point, np.int8), f"{name}/zero_point"),
        )

    # --- constants ---------------------------------------------------------------------------------------------------

    def _quantise_operands(self, node: ir.Node) -> None:
        if node.op_type in WEIGHTED and constant(node.inputs[1]) is not None:
            self._quantise_weights(node)
        elif node.op_type in ("Add", "Mul", "Sub", "MatMul"):
            self._quantise_constants(node, range(len(node.inputs)), None)
        elif node.op_type in SHARING:
            self._quantise_constants(node, data_inputs(node), self._parameters[node.outputs[0]])

    def _quantise_constants(self, node: ir.Node, indices: Iterable[int], shared: Parameters | None) -> None:
        for index in indices:
            array = constant(node.inputs[index])
            if array is not None:
                self._quantise_operand(node, index, array, shared)

    def _quantise_weights(self, node: ir.Node) -> None:
        """Weights, and the bias with them."""
        weights, bias = constant(node.inputs[1]), constant(node.inputs[2]) if len(node.inputs) > 2 else None
        assert weights is not None
        assert node.inputs[0] is not None
        axis = self._channel_axis(node, weights)
        input_scale = self._parameters[node.inputs[0]].scale
        scales = weight_scales(weights, axis)
        if bias is not None:
            scales = widened_for_bias(scales, bias, input_scale)
        if self._settings.narrow_pairs and multiplies_pairs(node):
            scales = narrowed_scales(weights, scales, node.op_type)
            integers = quantise_narrow(weights, scales, node.op_type)
        else:
            integers = quantise_weights(weights, scales, axis)
        self._dequantised(node, 1, integers, scales, axis)
        if bias is not None:
            scales = bias_scales(scales, input_scale)
            self._dequantised(node, 2, quantise_bias(bias, scales), scales, None if axis is None else 0)

    def _channel_axis(self, node: ir.Node, weights: NDArray[np.float32]) -> int | None:
        """The axis of the channels that get scales of their own; None for one scale."""
        if node.op_type == "Conv":
            return 0 if self._settings.convolutions == "per-channel" else None
        if self._settings.fully_connected == "per-tensor" or weights.ndim != 2:
            return None
        return WEIGHTED[node.op_type] % 2

    def _quantise_operand(
        self, node: ir.Node, index: int, array: NDArray[np.float32], shared: Parameters | None
    ) -> None:
        """A constant that is added, multiplied or joined: stored like an activation."""
        used = shared or parameters_of_range(float(array.min()), float(array.max()))
        source = node.inputs[index]
        assert source is not None
        name = name_of(source)
        stored = self._editor.constant(used.quantise(array), f"{name}/quantised")
        self._replace_operand(node, index, [stored, *self._store(used, name)], {}, name)

    def _dequantised(
        self,
        node: ir.Node,
        index: int,
        integers: NDArray[np.int8] | NDArray[np.int32],
        scales: NDArray[np.float32],
        axis: int | None,
    ) -> None:
        source = node.inputs[index]
        assert source is not None
        name = name_of(source)
        inputs = [
            self._editor.constant(integers, f"{name}/quantised"),
            self._editor.constant(scales, f"{name}/scale"),
            self._editor.constant(np.zeros(scales.shape, integers.dtype), f"{name}/zero_point"),
        ]
        self._replace_operand(node, index, inputs, {} if axis is None else {"axis": axis}, name)

    def _replace_operand(
        self, node: ir.Node, index: int, inputs: list[ir.Value], attributes: dict[str, int], name: str
    ) -> None:
        """Let an input of the node be a DequantizeLinear of constants."""
        source = node.inputs[index]
        assert source is not None
        dequantised = self._editor.node(
            "DequantizeLinear",
            inputs,
            name=f"{name}/dequantise",
            output=f"{name}/dequantised",
            shape=shape_of(source),
            attributes=attributes,
            before=node,
        )
        node.replace_input_with(index, dequantised)
        if not source.uses() and not source.is_graph_output():
            del self._model.graph.initializers[name_of(source)]
