"""Post-training quantisation to integers, as QDQ pairs in the hub.

Source: TensorFlow Lite 8-bit quantization specification: activations int8, asymmetric, or (16x8) int16, symmetric, per
tensor; weights int8, symmetric, per output channel; biases int32 with scale input scale times weight scale. What each
layer computes with says ``layers``, where pairs stand ``placement``, with which parameters ``scales``, and how numbers
become integers ``parameters``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, name_of, shape_of
from edgefleet_compiler.quantise.calibrate import Ranges
from edgefleet_compiler.quantise.layers import layers_of
from edgefleet_compiler.quantise.operators import SHARING, WEIGHTED, data_inputs
from edgefleet_compiler.quantise.parameters import (
    IntegerType,
    Parameters,
    bias_scales,
    parameters_of_range,
    quantise_bias,
    widened_for_bias,
)
from edgefleet_compiler.quantise.placement import Placement, place
from edgefleet_compiler.quantise.saturation import multiplies_pairs, narrowed_scales, quantise_narrow
from edgefleet_compiler.quantise.scales import Scales
from edgefleet_compiler.quantise.settings import Settings, Weights
from edgefleet_compiler.quantise.weight_only import store_weights
from edgefleet_compiler.quantise.weights import integers_of, kind_of, scales_of
from edgefleet_contract.errors import RecipeUnfit


def quantise(model: ir.Model, ranges: Ranges, settings: Settings, activations: IntegerType = "int8") -> ir.Model:
    """A quantised copy of a float hub.

    Args:
        model: In hub normal form; it is not changed.
        ranges: From ``calibrate`` of the same model.
        settings: What is asked for.
        activations: The integers of the scheme; operators that have no form in them stay float.

    Returns:
        The same graph with QDQ pairs. What a pair gives carries the name of the activation, so that nodes and graph
        outputs keep their names; what goes into it is called ``NAME/raw``.

    Raises:
        RecipeMalformed: The settings name a layer that there is not.
        RecipeUnfit: They ask for integers of a layer that has no such form.
    """
    copy = model.clone()
    return _Quantiser(copy, place(copy.graph, layers_of(copy.graph, settings, activations)), ranges, settings).run()


@dataclass(frozen=True)
class _Pair:
    """A pair beside an activation.

    Attributes:
        parameters: Of its integers.
        uses: Who reads what it gives.
    """

    parameters: Parameters
    uses: Sequence[tuple[ir.Node, int]]


class _Quantiser:
    def __init__(self, model: ir.Model, placement: Placement, ranges: Ranges, settings: Settings) -> None:
        self._model = model
        self._placement = placement
        self._scales = Scales(placement, ranges)
        self._settings = settings
        self._editor = Editor(model.graph)
        self._nodes = set(placement.nodes)

    def run(self) -> ir.Model:
        # Plans before operands, operands before pairs: each takes away values by which the one before finds its way.
        plans = [(group, [self._plan(value) for value in group.values]) for group in self._placement.groups]
        for node in self._placement.nodes:
            self._quantise_operands(node)
        for group, pairs in plans:
            shared, name = self._scales.of_group(group.values[0]), name_of(group.values[0])
            stored = {shared: self._store(shared, name)}
            for value, (given, *rescaled) in zip(group.values, pairs, strict=True):
                self._insert_pairs(value, given, rescaled, stored)
        # What computes in float keeps its weights, unless the recipe wants them narrow; those of others are by now.
        narrow = [name for name, layer in self._settings.layers.items() if layer.weights is not None]
        store_weights(self._model.graph, self._settings, layers=narrow)
        return self._model

    # --- activations -------------------------------------------------------------------------------------------------

    def _plan(self, value: ir.Value) -> list[_Pair]:
        """The pair of an activation, then those by which other nodes read it that want other parameters."""
        given, uses = self._scales.given(value), list(value.uses())
        others: dict[Parameters, list[tuple[ir.Node, int]]] = {}
        for node, index in uses:
            wanted = self._scales.read_by(node, value) if node in self._nodes else given
            if wanted != given:
                others.setdefault(wanted, []).append((node, index))
        return [_Pair(given, uses), *(_Pair(wanted, readers) for wanted, readers in others.items())]

    def _insert_pairs(
        self,
        value: ir.Value,
        given: _Pair,
        rescaled: list[_Pair],
        stored: dict[Parameters, tuple[ir.Value, ir.Value]],
    ) -> None:
        """Let all uses of the value go through its pair; those that want other parameters, through one more."""
        name = name_of(value)
        dequantised = self._insert_pair(
            value, given, stored.get(given.parameters) or self._store(given.parameters, name)
        )
        for pair in rescaled:
            scale = stored.get(pair.parameters) or self._store(pair.parameters, f"{name}/{pair.parameters.dtype}")
            self._insert_pair(dequantised, pair, scale, rescaled=True)

    def _insert_pair(
        self, value: ir.Value, pair: _Pair, stored: tuple[ir.Value, ir.Value], *, rescaled: bool = False
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
            dtype=ir.DataType.from_numpy(np.dtype(pair.parameters.dtype)),
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
        for node, index in pair.uses:
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
            self._editor.constant(np.array(parameters.zero_point, parameters.dtype), f"{name}/zero_point"),
        )

    # --- constants ---------------------------------------------------------------------------------------------------

    def _quantise_operands(self, node: ir.Node) -> None:
        if node.op_type in WEIGHTED and constant(node.inputs[1]) is not None:
            self._quantise_weights(node)
        elif node.op_type in ("Add", "Mul", "Sub", "MatMul"):
            self._quantise_constants(node, range(len(node.inputs)), None)
        elif node.op_type in SHARING:
            self._quantise_constants(node, data_inputs(node), self._scales.of_group(node.outputs[0]))

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
        input_scale = self._scales.read_by(node, node.inputs[0]).scale
        kind = self._weights_of(node, weights)
        scales = scales_of(weights, axis, kind)
        if bias is not None:
            scales = widened_for_bias(scales, bias, input_scale)
        in_bytes = self._placement.layers.integers_of(node) == "int8"
        if self._settings.narrow_pairs and in_bytes and kind == "int8" and multiplies_pairs(node):
            scales = narrowed_scales(weights, scales, node.op_type)
            integers = quantise_narrow(weights, scales, node.op_type)
        else:
            integers = integers_of(weights, scales, axis, kind)
        self._dequantised(node, 1, integers, scales, axis)
        if bias is not None:
            scales = bias_scales(scales, input_scale)
            self._dequantised(node, 2, quantise_bias(bias, scales), scales, None if axis is None else 0)

    def _weights_of(self, node: ir.Node, weights: NDArray[np.float32]) -> Weights:
        """The type of a layer's weights; int8 of stacked matrices, which no kernel takes narrower."""
        kind = self._settings.weights_of(node.name or "")
        if kind == "int4" and self._placement.layers.integers_of(node) != "int8":
            raise RecipeUnfit(
                f"The layer {node.name!r} ({node.op_type}) computes with int16, and the recipe gives it 4-bit weights",
                expected='weights = "int8", or compute = "int8", for this layer',
                layer=node.name or "",
            )
        return "int8" if node.op_type == "MatMul" and weights.ndim != 2 else kind_of(weights, kind)

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
        dtype = self._placement.layers.integers_of(node) or self._placement.layers.default
        used = shared or parameters_of_range(float(array.min()), float(array.max()), dtype)
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
