"""Which layers get weights of 4 bits, plain or of a palette, so that so many bytes are saved at the least noise.

Each layer's weights are rounded alone, to 8 and to 4 bits, by second order; what that does to the outputs is measured,
and an integer programme (``mixed``) chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import onnx_ir as ir
from msgspec.structs import replace

from edgefleet_compiler.hub.dequantised import stored
from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.quantise.operators import WEIGHTED
from edgefleet_compiler.quantise.palettes.size import palette_bytes
from edgefleet_compiler.quantise.rounding.rounded import rounded
from edgefleet_compiler.quantise.search.mixed import Option, mix
from edgefleet_compiler.quantise.search.reference import Reference
from edgefleet_compiler.quantise.search.trial import Trial
from edgefleet_compiler.quantise.settings import LayerSettings, Settings, Weights
from edgefleet_compiler.tensors import Sample

_BYTES: dict[Weights, Callable[[int], int]] = {
    "int8": lambda elements: elements,
    "int4": lambda elements: (elements + 1) // 2,
    "palette4": palette_bytes,
}


class Narrower:
    """Knows what the weights of each layer of a hub do to the outputs in 8 and in 4 bits.

    Args:
        hub: The float hub that is quantised.
        quantised: Makes a hub of it by settings, with weights rounded to nearest.
        settings: How it is quantised otherwise.
        samples: Some dozens of typical cases; no labels are needed.
        narrow: What narrow weights are: int4, or palette4 where the artifact is ONNX.
        layers: Those whose weights may have 4 bits (``checks/four_bits`` knows); all of them if left out.

    Attributes:
        narrow: What narrow weights are.
        candidates: The layers whose weights may be narrow.
        most: The bytes that all of them together can save.
    """

    def __init__(
        self,
        hub: ir.Model,
        quantised: Callable[[Settings], ir.Model],
        settings: Settings,
        samples: Sequence[Sample],
        *,
        narrow: Weights = "int4",
        layers: Collection[str] | None = None,
    ) -> None:
        self._settings = settings
        self.narrow = narrow
        sizes = _integer_layers(quantised(settings))
        self.candidates = names = [name for name in sizes if layers is None or name in layers]
        reference = Reference(hub, samples)
        self._options: dict[str, list[Option]] = {name: [] for name in names}
        for kind in ("int8", narrow):
            everywhere = replace(settings, layers={**settings.layers, **self._narrowed(dict.fromkeys(names, kind))})
            model = rounded(
                hub,
                quantised(everywhere),
                samples,
                "second-order",
                narrow_pairs=settings.narrow_pairs,
                palettes=everywhere.palettes_among(names),
            )
            for name in names:
                noise = Trial(hub, model, reference, rounded={name}).measure_only({}).noise
                self._options[name].append(Option(LayerSettings(weights=kind), noise, _BYTES[kind](sizes[name])))
        self._widest = sum(max(option.cost for option in options) for options in self._options.values())
        self.most = int(self._widest - sum(min(option.cost for option in row) for row in self._options.values()))

    def layers(self, saved_bytes: int) -> dict[str, LayerSettings] | None:
        """Settings of all layers, those that stand in the settings already included.

        Args:
            saved_bytes: Of constants, against 8 bits throughout. What a file says of each constant is the same.

        Returns:
            For the table ``[layers]`` of the recipe; None where even 4 bits throughout do not save so much.
        """
        found = mix(self._options, least="noise", bound=self._widest - saved_bytes)
        if not found.within:
            return None
        chosen = {name: settings.weights for name, settings in found.layers.items() if settings.weights is not None}
        return {**self._settings.layers, **self._narrowed(chosen)}

    def _narrowed(self, kinds: dict[str, Weights]) -> dict[str, LayerSettings]:
        """Settings of layers, with these types of their weights."""
        given = self._settings.layers
        return {name: replace(given.get(name, LayerSettings()), weights=kind) for name, kind in kinds.items()}


def _integer_layers(quantised: ir.Model) -> dict[str, int]:
    """Layers that compute with integer weights, by name, and how many they have."""
    sizes = {}
    for node in quantised.graph:
        if node.op_type in WEIGHTED and node.name and _is_narrowable(node):
            array = stored(node.inputs[1])
            assert array is not None
            sizes[node.name] = array.size
    return sizes


def _is_narrowable(node: ir.Node) -> bool:
    """Whether its weights are stored as integers, and may be in 4 bits: stacked matrices may not."""
    weights = node.inputs[1]
    if weights is None or constant(weights) is not None:
        return False
    array = stored(weights)
    return array is not None and (node.op_type == "Conv" or array.ndim == 2)
