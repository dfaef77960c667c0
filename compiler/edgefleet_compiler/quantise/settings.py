"""What the quantiser is told: of the whole model, of single activations, of single layers.

The same words stand in a recipe's tables ``[quantise]``, ``[ranges]`` and ``[layers]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

Compute = Literal["int8", "int16", "float"]
Weights = Literal["int8", "int4", "palette4"]
"""palette4: 16 integers of 8 bits for all weights of a layer, each stored as the number of one of them, in 4 bits."""
Rounding = Literal["nearest", "second-order", "adaptive"]
Equalise = Literal["none", "outliers", "all"]
Scales = Literal["per-channel", "per-tensor"]
Equalised = Literal["none", "outliers", "all"]
Kind = Literal["min-max", "percentile", "mse", "entropy"]

_METHOD = re.compile(
    r"(?P<kind>min-max|mse|entropy|percentile (?P<percent>\d{1,3}(?:\.\d{1,6})?))(?: x (?P<factor>\d(?:\.\d{1,6})?))?"
)


@dataclass(frozen=True)
class Method:
    """How the range of an activation comes from what it was seen to be.

    Attributes:
        kind: min-max: all values; percentile: all but the rarest at either end; mse: the range whose rounding errors
            have the least mean square; entropy: the range that loses the least information (Kullback-Leibler).
        percent: Of the values, kept by ``percentile``; above 50, at most 100. 100 for other kinds.
        factor: What both ends of the range are multiplied by then; above 0, at most 2.
    """

    kind: Kind
    percent: float = 100.0
    factor: float = 1.0

    @staticmethod
    def parse(text: str) -> Method:
        """A method as recipes have it: ``min-max``, ``percentile 99.9``, ``mse``, ``entropy``; ``mse x 0.95``.

        Raises:
            ValueError: It is none.
        """
        found = _METHOD.fullmatch(text)
        percent = float(found["percent"] or 100) if found else 0.0
        factor = float(found["factor"] or 1) if found else 0.0
        if not 50 < percent <= 100 or not 0 < factor <= 2:
            raise ValueError(f"{text!r} is none of min-max, percentile P (50 < P <= 100), mse, entropy; each with x F")
        kind: Kind = text.split(" ", maxsplit=1)[0]  # type: ignore[assignment]  # the pattern has no others
        return Method(kind, percent, factor)

    def __str__(self) -> str:
        """As recipes have it."""
        kind = f"percentile {_plain(self.percent)}" if self.kind == "percentile" else self.kind
        return kind if self.factor == 1 else f"{kind} x {_plain(self.factor)}"


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


class LayerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What is done otherwise with one layer; None where it is done as with the others.

    Attributes:
        compute: Element type of its arithmetic, and of the activation that it gives.
        weights: Element type of its weights.
    """

    compute: Compute | None = None
    weights: Weights | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """How parameters are found, and weights made integers.

    Attributes:
        calibration: The method for activations that ``ranges`` does not name, as ``Method.parse`` reads it.
        convolutions: How many scales the weights of a convolution have.
        fully_connected: How many scales the weights of a fully connected layer have.
        weights: Element type of the weights of layers that ``layers`` does not say otherwise of.
        rounding: How weights become integers.
        equalise: Which channels of layers that follow each other are brought to like ranges first.
        bias_correction: Whether biases make up for the shift that rounding gives the mean of each channel.
        narrow_pairs: Whether the sum of any two neighbouring products of weights and unsigned activations must fit 16
            bits, as x86 processors without VNNI have it.
        ranges: Methods of single activations, by name in the hub.
        layers: Settings of single layers, by name of the node in the hub.
    """

    calibration: str = "min-max"
    convolutions: Scales = "per-channel"
    fully_connected: Scales = "per-channel"
    weights: Weights = "int8"
    rounding: Rounding = "nearest"
    equalise: Equalised = "none"
    bias_correction: bool = False
    narrow_pairs: bool = False
    ranges: dict[str, str] = {}
    layers: dict[str, LayerSettings] = {}

    def __post_init__(self) -> None:
        """Check the methods.

        Raises:
            ValueError: One is none; msgspec makes a ``ValidationError`` of it.
        """
        for text in (self.calibration, *self.ranges.values()):
            Method.parse(text)

    def method_of(self, activation: str) -> Method:
        """How the range of an activation is found."""
        return Method.parse(self.ranges.get(activation, self.calibration))

    def weights_of(self, layer: str) -> Weights:
        """Element type of the weights of a layer."""
        named = self.layers.get(layer)
        return named.weights if named is not None and named.weights is not None else self.weights

    @property
    def has_palettes(self) -> bool:
        """Whether weights of any layer are asked for as numbers of a palette."""
        return "palette4" in (self.weights, *(named.weights for named in self.layers.values()))

    def palettes_among(self, layers: Iterable[str]) -> frozenset[str]:
        """Those of some layers whose weights are of a palette."""
        return frozenset(name for name in layers if self.weights_of(name) == "palette4")

    def compute_of(self, layer: str) -> Compute | None:
        """Element type that a layer computes with; None for that of the scheme."""
        named = self.layers.get(layer)
        return None if named is None else named.compute
