"""A removal: which channels go, what the constant ones among them are, and the graph without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lossless.channels import BINARY, Structure, channels
from edgefleet_compiler.lossless.folding import Mask, contribution
from edgefleet_compiler.lossless.weighted import Integers, Weighted
from edgefleet_compiler.lowered.dead_code import remove_dead_code
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Quantisation, Tensor

_INT32: Final = np.dtype(np.int32)


@dataclass(frozen=True)
class Removal:
    """Channels that go.

    Attributes:
        kept: For each tensor that loses channels: which of them stay, shape (channels,).
        values: For each of these the removed channels that always hold one value and that a reader multiplies: the
            value by channel. The others no reader that stays looks at.
    """

    kept: Mapping[str, Mask] = field(default_factory=dict)
    values: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    def mask(self, graph: LoweredGraph, name: str) -> Mask:
        """Which channels of a tensor stay."""
        return self.kept[name] if name in self.kept else np.ones(channels(graph, name), np.bool_)


def without_channels(graph: LoweredGraph, structure: Structure, removal: Removal) -> LoweredGraph:
    """The graph without these channels; ``graph`` is not changed.

    Args:
        graph: Where the channels are.
        structure: Of ``graph``.
        removal: What goes; bound channels go together.
    """
    smaller = graph.copy()
    for position, operator in enumerate(smaller.operators):
        kept = removal.mask(graph, operator.outputs[0])
        layer = structure.weighted.get(position)
        if layer is not None:
            _narrow_weights(smaller, operator, layer, removal.mask(graph, layer.source), kept, removal)
        elif operator.outputs[0] in removal.kept:
            _narrow_constants(smaller, operator, kept)
    for name, mask in removal.kept.items():
        tensor = smaller.tensors[name]
        smaller.tensors[name] = replace(tensor, shape=(*tensor.shape[:-1], int(mask.sum())))
    _reshape_to_what_is_left(smaller, removal)
    remove_dead_code(smaller)
    return smaller


def _narrow_weights(
    graph: LoweredGraph, operator: Operator, layer: Weighted, read: Mask, written: Mask, removal: Removal
) -> None:
    if read.all() and written.all():
        return
    weights = graph.tensors[str(operator.inputs[1])]
    assert weights.data is not None
    if operator.kind == "DEPTHWISE_CONV_2D":
        narrowed = weights.data[..., written]
    elif operator.kind == "CONV_2D":
        narrowed = weights.data[written][..., read]
    else:
        narrowed = weights.data[written][:, np.tile(read, weights.data.shape[1] // len(read))]
    operator.inputs[1] = _added(graph, weights, narrowed, written)
    bias = layer.bias + _folded(graph, layer, read, removal)
    if len(operator.inputs) > 2 and operator.inputs[2] is not None:
        tensor = graph.tensors[operator.inputs[2]]
    elif bias.any():
        tensor = _no_bias(graph, operator, weights)
    else:
        return
    operator.inputs[2:] = [_added(graph, tensor, bias[written].astype(_INT32), written)]


def _folded(graph: LoweredGraph, layer: Weighted, read: Mask, removal: Removal) -> Integers:
    """What the removed constant channels add to each output."""
    values = {} if layer.depthwise else removal.values.get(layer.source, {})
    gone = np.array([channel for channel in values if not read[channel]], np.int64)
    if not len(gone):
        return np.zeros_like(layer.bias)
    zero_point = zero_point_of(graph, layer.source)
    added = contribution(layer, gone, np.array([values[int(channel)] for channel in gone]) - zero_point)
    return added[:, 0]  # the same wherever the window stands, or the channel had to stay


def zero_point_of(graph: LoweredGraph, name: str) -> int:
    """The zero point of an activation."""
    quantisation = graph.tensors[name].quantisation
    assert quantisation is not None
    return int(quantisation.zero_point[0])


def _no_bias(graph: LoweredGraph, operator: Operator, weights: Tensor) -> Tensor:
    """The bias that a layer has without being told: zeros, with the scale that a bias must have."""
    source = graph.tensors[str(operator.inputs[0])].quantisation
    assert source is not None
    assert weights.quantisation is not None
    scale = (source.scale * weights.quantisation.scale).astype(np.float32)
    return Tensor("bias", (), _INT32, Quantisation(scale, np.zeros(scale.shape, np.int64)))


def _narrow_constants(graph: LoweredGraph, operator: Operator, kept: Mask) -> None:
    """Take the same channels out of constants that meet the output's channel by channel."""
    if operator.kind not in BINARY:
        return
    for index, name in enumerate(operator.inputs):
        tensor = graph.tensors[str(name)]
        if tensor.data is not None and tensor.shape and tensor.shape[-1] == len(kept):
            operator.inputs[index] = _added(graph, tensor, tensor.data[..., kept], kept)


def _reshape_to_what_is_left(graph: LoweredGraph, removal: Removal) -> None:
    for operator in graph.operators:
        if operator.kind == "RESHAPE" and operator.outputs[0] in removal.kept:
            shape = graph.tensors[operator.outputs[0]].shape
            if "new_shape" in operator.attributes:
                operator.attributes["new_shape"] = list(shape)
            data = np.array(shape, np.int32)
            name = graph.fresh_name("shape")
            operator.inputs[1:] = [graph.add_tensor(Tensor(name, data.shape, data.dtype, data=data))]


def _added(graph: LoweredGraph, like: Tensor, data: NDArray[np.generic], kept: Mask) -> str:
    """A constant in the place of another, with that one's parameters for the channels that stay."""
    quantisation = like.quantisation
    if quantisation is not None and len(quantisation.scale) == len(kept) > 1:
        quantisation = Quantisation(quantisation.scale[kept], quantisation.zero_point[kept], quantisation.axis)
    name = graph.fresh_name(like.name)
    return graph.add_tensor(Tensor(name, data.shape, data.dtype, quantisation, np.ascontiguousarray(data)))
