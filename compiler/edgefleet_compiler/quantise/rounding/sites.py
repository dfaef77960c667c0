"""Where a quantised hub stores the weights of its layers, and what it computes from what."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.four_bits import INT4
from edgefleet_compiler.hub.dequantised import channel_axis
from edgefleet_compiler.hub.graph import constant, name_of
from edgefleet_compiler.quantise.operators import WEIGHTED
from edgefleet_compiler.quantise.palettes.size import FEWEST_ELEMENTS
from edgefleet_compiler.quantise.rounding.layer import Layer
from edgefleet_compiler.quantise.rounding.quadratic import Matrices
from edgefleet_compiler.quantise.weights import LARGEST


@dataclass(frozen=True)
class Site:
    """A layer of a quantised hub whose weights can be rounded anew.

    Attributes:
        node: The layer.
        original: The same in the float hub.
        layer: The same, as matrices.
        stored: The initializer with the integers.
        weights: As they are in the float hub; shape (groups, channels, inputs).
        scales: Of the integers; shape (groups, channels, 1).
        has_palette: Whether the integers are to be of a palette.
    """

    node: ir.Node
    original: ir.Node
    layer: Layer
    stored: ir.Value
    weights: Matrices
    scales: Matrices
    has_palette: bool = False

    @property
    def largest(self) -> int:
        """The largest magnitude of an integer."""
        if self.has_palette:
            return LARGEST["palette4"]
        return LARGEST["int4" if self.integers.dtype == INT4 else "int8"]

    @property
    def integers(self) -> NDArray[Any]:
        """As stored now, in the shape of the weights."""
        array = constant(self.stored)
        assert array is not None
        return array

    def store(self, integers: NDArray[Any]) -> None:
        """Put integers of the same type and shape in the place of those stored."""
        self.stored.const_value = ir.Tensor(integers, name=name_of(self.stored))


def sites(float_hub: ir.Model, quantised_hub: ir.Model, palettes: Collection[str] = ()) -> Iterator[Site]:
    """The layers whose weights can be rounded anew, in graph order.

    Those are left out whose integers other layers use, too, and stacks of matrices.

    Args:
        float_hub: In hub normal form.
        quantised_hub: What was made of it.
        palettes: Names of the layers whose weights are of a palette.
    """
    originals = {node.name: node for node in float_hub.graph}
    for node in quantised_hub.graph:
        original = originals.get(node.name)
        if node.op_type in WEIGHTED and original is not None and original.op_type == node.op_type:
            site = _site(node, original, palettes)
            if site is not None:
                yield site


def _site(node: ir.Node, original: ir.Node, palettes: Collection[str]) -> Site | None:
    weights = constant(original.inputs[1])
    dequantised = node.inputs[1]
    dequantise = None if dequantised is None else dequantised.producer()
    if weights is None or dequantise is None or dequantise.op_type != "DequantizeLinear":
        return None
    stored, scale = dequantise.inputs[0], constant(dequantise.inputs[1])
    integers = constant(stored)
    if stored is None or integers is None or scale is None or integers.shape != weights.shape or _is_shared(dequantise):
        return None
    if node.op_type != "Conv" and weights.ndim != 2:
        return None
    layer = Layer(node, weights.shape)
    axis = channel_axis(dequantise, weights.ndim)
    if scale.ndim > 1 or axis not in {None, layer.channel_axis} or _zero_point(dequantise) != 0:
        return None
    scales = np.broadcast_to(scale.astype(np.float64).reshape(-1), (layer.groups * layer.channels,))
    return Site(
        node=node,
        original=original,
        layer=layer,
        stored=stored,
        weights=layer.matrices(weights.astype(np.float64)),
        scales=scales.reshape(layer.groups, layer.channels, 1),
        has_palette=node.name in palettes and weights.size >= FEWEST_ELEMENTS,
    )


def _is_shared(dequantise: ir.Node) -> bool:
    stored = dequantise.inputs[0]
    assert stored is not None
    return len(stored.uses()) != 1 or len(dequantise.outputs[0].uses()) != 1


def _zero_point(dequantise: ir.Node) -> int:
    """The one of the largest magnitude."""
    array = constant(dequantise.inputs[2]) if len(dequantise.inputs) > 2 else None
    return 0 if array is None else int(np.abs(array.astype(np.int64)).max(initial=0))
