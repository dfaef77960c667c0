"""A means: weights of 4 bits in the layers that lose the outputs least by it, as many as a file's bytes ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx_ir as ir
from msgspec.structs import replace

from edgefleet_compiler.checks.budget import Limit
from edgefleet_compiler.checks.operators import missing_operators
from edgefleet_compiler.exports import lowered_for_costs
from edgefleet_compiler.four_bits import INT4
from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.ladder.dials import Dial, Ground, Setting
from edgefleet_compiler.quantise.search.mixed import Option, mix
from edgefleet_compiler.quantise.search.reference import Reference
from edgefleet_compiler.quantise.search.sensitivity import measure_sensitivity
from edgefleet_compiler.quantise.settings import LayerSettings
from edgefleet_compiler.recipe import Recipe

_TAKES = ("int8", "weight-only", "dynamic")
_EIGHT, _FOUR = LayerSettings(weights="int8"), LayerSettings(weights="int4")


def narrowing(recipe: Recipe, ground: Ground, _: Sequence[Limit]) -> Dial | None:
    """The dial: how much of what 4-bit weights can save in bytes is left unsaved.

    Each layer has two options, with the bytes of its weights and the noise that they alone make in the outputs; the
    layers are chosen by an integer programme. Weights are rounded by second order for that measurement: to the nearest,
    layers look worse by up to 7 dB, and not all by the same.

    Args:
        recipe: Of a scheme with integer weights; None comes of others, and where no layer takes 4 bits.
        ground: What is measured on, and the target.
    """
    if recipe.scheme not in _TAKES:
        return None
    bytes_in_eight = _layers(recipe, ground)
    if not bytes_in_eight:
        return None
    in_eight = _noises(recipe, ground)
    in_four = _noises(_narrowed(recipe, bytes_in_eight), ground)
    options = {
        layer: [Option(_EIGHT, in_eight.get(layer, 0.0), size), Option(_FOUR, in_four.get(layer, 0.0), size / 2)]
        for layer, size in bytes_in_eight.items()
    }
    most = sum(bytes_in_eight.values())

    def dial(mildness: float) -> Setting:
        chosen = mix(options, least="noise", bound=most * (1 + mildness) / 2).layers
        four = [layer for layer, settings in chosen.items() if settings == _FOUR]
        told = f"4-bit weights {len(four)}/{len(options)}"
        return Setting(_narrowed(recipe, four), told)

    return dial


def _narrowed(recipe: Recipe, layers: Iterable[str]) -> Recipe:
    """With weights of 4 bits in these layers, whatever else is said of them."""
    said = recipe.settings.layers
    narrow = {layer: replace(said.get(layer, LayerSettings()), weights="int4") for layer in layers}
    return recipe.with_settings(replace(recipe.settings, layers={**said, **narrow}))


def _layers(recipe: Recipe, ground: Ground) -> dict[str, float]:
    """The layers whose weights may have 4 bits in a target's runtime, with their bytes in 8 bits."""
    said = recipe.settings.layers
    wide = {name: replace(settings, weights="int8") for name, settings in said.items() if settings.compute == "int16"}
    every = replace(recipe.settings, weights="int4", layers={**said, **wide}, rounding="nearest", bias_correction=False)
    hub = ground.hubs.make(recipe.with_settings(every)).hub
    refused = set[str]()
    lowered = lowered_for_costs(hub, io="float", io_layout=recipe.io_layout) if recipe.format == "tflite" else None
    if lowered is not None:
        runtime = ground.profile.runtime_for(recipe.format)
        refused = {part.node for part in missing_operators(lowered, runtime)}
    found = {node.name or "": _narrow_elements(node) for node in hub.graph if node.name not in refused}
    return {name: float(size) for name, size in found.items() if size}


def _narrow_elements(node: ir.Node) -> int:
    """Elements of the 4-bit constants that a node reads."""
    elements = 0
    for value in node.inputs:
        producer = None if value is None else value.producer()
        if producer is not None and producer.op_type == "DequantizeLinear":
            array = constant(producer.inputs[0])
            elements += 0 if array is None or array.dtype != INT4 else array.size
    return elements


def _noises(recipe: Recipe, ground: Ground) -> dict[str, float]:
    """What the weights of each layer do to the outputs."""
    settings = replace(recipe.settings, rounding="second-order", bias_correction=True)
    made = ground.hubs.make(recipe.with_settings(settings))
    measured = measure_sensitivity(made.float_hub, made.hub, Reference(made.float_hub, ground.cases), leave_out=False)
    return {layer.name: layer.weights for layer in measured.layers}
