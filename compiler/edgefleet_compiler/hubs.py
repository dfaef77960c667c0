"""The hubs of recipes: each made once, of the source's float hub, with what was done to get it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import onnx_ir as ir

from edgefleet_compiler.calibrator import Calibrator
from edgefleet_compiler.compress.record import Compressed, CompressionRecord
from edgefleet_compiler.data import DataSet
from edgefleet_compiler.hub.graph import byte_size, products
from edgefleet_compiler.keeping import SCHEME
from edgefleet_compiler.naming import naming
from edgefleet_compiler.passes.record import PassRecord, recorded
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.quantise.bias import bias_corrected
from edgefleet_compiler.quantise.calibrate import Ranges
from edgefleet_compiler.quantise.calibration.observe import Observations
from edgefleet_compiler.quantise.dynamic import dynamic
from edgefleet_compiler.quantise.equalise import equalised
from edgefleet_compiler.quantise.fp16 import fp16_weights
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.parameters import IntegerType
from edgefleet_compiler.quantise.requantisation import with_bounded_ratios
from edgefleet_compiler.quantise.rounding.rounded import rounded
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.quantise.weight_only import weight_only
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.recipe.form import QUANTISING, Scheme
from edgefleet_compiler.source import Source
from edgefleet_compiler.tensors import Sample
from edgefleet_hardware.profile import Format

_TYPICAL_CASES = 128
_TYPICAL_BYTES = 64 * 1024 * 1024
_TYPICAL_PRODUCTS = 2_000_000_000  # of all cases together; a search runs them a few hundred times
_PLENTY_CASES = 1024
_PLENTY_PRODUCTS = 8_000_000_000
_FEWEST_CASES = 24
"""Of the calibration set, evenly spread: what is measured of a quantised hub while it is made."""


BaseKey = bytes
HubKey = tuple[Scheme, Format | None, BaseKey, bytes]


def base_key(recipe: Recipe) -> BaseKey:
    """What decides how the base of a recipe is made."""
    return msgspec.json.encode((recipe.compress, recipe.seed if recipe.compress is not None else None))


def _float_key(recipe: Recipe) -> tuple[BaseKey, str]:
    """What decides how the float hub of a recipe is made."""
    return base_key(recipe), recipe.settings.equalise


def hub_key(recipe: Recipe) -> HubKey:
    """What decides how the hub of a recipe is made; hubs of recipes with equal keys are equal.

    What is worth rounding at run time is another thing in each format; other schemes make one hub for all.
    """
    artifact = recipe.format if recipe.scheme == "dynamic" else None
    return recipe.scheme, artifact, base_key(recipe), msgspec.json.encode(recipe.quantise)


@dataclass(frozen=True)
class Made:
    """A hub as its recipe wants it.

    Attributes:
        hub: What will be exported.
        float_hub: What it was made of: the source's float hub, or that compressed and its channels equalised.
        passes: What was done, in order.
        compress: What was taken away first; None for nothing.
    """

    hub: ir.Model
    float_hub: ir.Model
    passes: tuple[PassRecord, ...]
    compress: CompressionRecord | None = None


class HubMaker:
    """Makes the hubs of one source.

    Args:
        source: The model.
        data: The calibration set; only schemes with integer activations need one.
        progress: Told of what takes long.

    Attributes:
        calibrator: What was seen of the calibration set.
    """

    def __init__(self, source: Source, data: DataSet | None, progress: Progress) -> None:
        self._source = source
        self._data = data
        self._progress = progress
        self._made: dict[HubKey, Made] = {}
        self._bases: dict[BaseKey, Compressed] = {}
        self._equalised: dict[tuple[BaseKey, str], ir.Model] = {}
        self.calibrator = Calibrator(data, progress)

    def make(self, recipe: Recipe) -> Made:
        """The hub of a recipe's scheme and settings.

        Raises:
            RecipeMalformed: The settings name what is not there.
            DataMalformed: A case of the calibration set cannot be used.
        """
        key = hub_key(recipe)
        if key not in self._made:
            self._made[key] = self._make(recipe)
        return self._made[key]

    def trial(self, recipe: Recipe, cases: Sequence[Sample]) -> ir.Model:
        """The hub of a recipe with weights rounded and biases corrected by other cases than those of ``typical``.

        Raises:
            As ``make``.
        """
        records = list[PassRecord]()
        float_hub = self.float_hub(recipe)
        return self._refined(self._nearest(recipe, float_hub, records), float_hub, recipe.settings, cases, records)

    def nearest(self, recipe: Recipe) -> ir.Model:
        """The hub of a recipe with weights rounded to nearest and biases as they are, whatever its settings say.

        Raises:
            As ``make``.
        """
        return self._nearest(recipe, self.float_hub(recipe), [])

    def base(self, recipe: Recipe) -> ir.Model:
        """The source's float hub, with that taken away which the recipe says.

        Raises:
            RecipeMalformed: It names what is not there.
            RecipeUnfit: It asks for what a part of the model does not take.
            DataMalformed: A case of the calibration set cannot be used.
        """
        return self._compressed(recipe).hub

    def float_hub(self, recipe: Recipe) -> ir.Model:
        """What is quantised: the base, equalised where the settings ask for it.

        Raises:
            As ``base``.
        """
        base, word = self.base(recipe), recipe.settings.equalise
        if word == "none":
            return base
        key = _float_key(recipe)
        if key not in self._equalised:
            self._equalised[key] = equalised(base, self.seen_of_base(recipe, histograms=False), word)
        return self._equalised[key]

    def seen_of_base(self, recipe: Recipe, *, histograms: bool) -> Observations:
        """What the activations of the base were seen to be.

        Raises:
            As ``base``.
        """
        return self.calibrator.observed((base_key(recipe), "none"), self.base(recipe), histograms=histograms)

    def seen(self, recipe: Recipe, *, histograms: bool) -> Observations:
        """What the activations of the float hub were seen to be.

        Raises:
            As ``base``.
        """
        return self.calibrator.observed(_float_key(recipe), self.float_hub(recipe), histograms=histograms)

    def ranges(self, recipe: Recipe, records: list[PassRecord], bits: int = 8) -> Ranges:
        """The range of each activation of the float hub.

        Raises:
            As ``base``.
        """
        return self.calibrator.ranges(_float_key(recipe), self.float_hub(recipe), recipe.settings, records, bits)

    @property
    def is_calibrated(self) -> bool:
        """Whether there is a calibration set."""
        return self._data is not None

    @cached_property
    def typical(self) -> list[Sample]:
        """Typical cases, as the hub takes them: as many as find room."""
        data = self._data
        assert data is not None, "recipes are checked against the options before anything is built"
        return self._spread(data, _TYPICAL_CASES, _TYPICAL_PRODUCTS)

    @cached_property
    def plenty(self) -> list[Sample]:
        """More of them, for what runs all of them a few times only: least squares need more than a measurement."""
        data = self._data
        assert data is not None, "recipes are checked against the options before anything is built"
        return self._spread(data, _PLENTY_CASES, _PLENTY_PRODUCTS)

    def _spread(self, data: DataSet, most: int, most_products: int) -> list[Sample]:
        size = sum(byte_size(value) for value in self._source.hub.graph.inputs)
        affordable = max(_FEWEST_CASES, most_products // max(products(self._source.hub.graph), 1))
        count = max(1, min(most, affordable, _TYPICAL_BYTES // max(size, 1)))
        with naming(data.path):
            return [{**case, **self._source.rest} for case in data.pick(data.spread(count))]

    def _compressed(self, recipe: Recipe) -> Compressed:
        key = base_key(recipe)
        if key not in self._bases:
            self._bases[key] = self._compress(recipe)
        return self._bases[key]

    def _compress(self, recipe: Recipe) -> Compressed:
        if recipe.compress is None:
            return Compressed(self._source.hub, ())
        from edgefleet_compiler.compress.compressed import Means, compressed  # noqa: PLC0415 - few recipes take away

        assert self._data is not None, "recipes are checked against the options before anything is built"
        means = Means(self._source, self._data, self.typical, self.plenty, recipe.seed, self._progress)
        return compressed(self._source.hub, recipe.compress, means)

    def _make(self, recipe: Recipe) -> Made:
        if recipe.scheme == SCHEME:
            assert self._source.hubs.quantised is not None, "recipes are checked against the source"
            return Made(self._source.hubs.quantised, self._source.hub, ())
        if recipe.scheme in QUANTISING:
            return self._quantised(recipe)
        base = self._compressed(recipe)
        hub, records = base.hub, list(base.passes)
        if recipe.scheme == "fp16":
            with recorded(records, "narrow weights", "weights in 16 bits"):
                hub = fp16_weights(hub)
        return Made(hub, base.hub, tuple(records), base.record)

    def _quantised(self, recipe: Recipe) -> Made:
        """Weights as integers, and activations where the scheme has them so."""
        base = self._compressed(recipe)
        settings, records = recipe.settings, list(base.passes)
        if settings.equalise != "none":
            with recorded(records, "equalise", f"channels: {settings.equalise}"):
                self.float_hub(recipe)
        float_hub = self.float_hub(recipe)
        hub = self._nearest(recipe, float_hub, records)
        if settings.rounding != "nearest" or settings.bias_correction:
            hub = self._refined(hub, float_hub, settings, self.typical, records)
        return Made(with_bounded_ratios(hub), float_hub, tuple(records), base.record)

    def _refined(
        self,
        hub: ir.Model,
        float_hub: ir.Model,
        settings: Settings,
        cases: Sequence[Sample],
        records: list[PassRecord],
    ) -> ir.Model:
        """With the weights rounded and the biases corrected as the settings say, by these cases."""
        if settings.rounding != "nearest":
            with recorded(records, f"round {settings.rounding}", f"by {len(cases)} cases"):
                hub = rounded(
                    float_hub,
                    hub,
                    cases,
                    settings.rounding,
                    on_progress=self._show,
                    narrow_pairs=settings.narrow_pairs,
                    palettes=settings.palettes_among(node.name or "" for node in hub.graph),
                )
        if settings.bias_correction:
            with recorded(records, "correct biases", f"by {len(cases)} cases"):
                hub = bias_corrected(float_hub, hub, cases)
        return hub

    def _nearest(self, recipe: Recipe, float_hub: ir.Model, records: list[PassRecord]) -> ir.Model:
        """With weights rounded to nearest."""
        settings = recipe.settings
        if recipe.scheme == "weight-only":
            with recorded(records, "narrow weights", f"weights in {settings.weights}"):
                return weight_only(float_hub, settings)
        if recipe.scheme == "dynamic":
            with recorded(records, "round at run time", "weights in 8 bits, and what they are multiplied by"):
                return dynamic(float_hub, settings, recipe.format)
        activations: IntegerType = "int8" if recipe.scheme == "int8" else "int16"
        bits = 8 if activations == "int8" else 16
        ranges = self.ranges(recipe, records, bits)
        with recorded(records, f"quantise {recipe.scheme}", f"fully connected weights {settings.fully_connected}"):
            return quantise(float_hub, ranges, settings, activations)

    def _show(self, done: int, total: int) -> None:
        if done == 1:
            self._progress.stage("rounding weights", total)
        self._progress.advance()
