"""What the pairs of a hub have for ranges that are found by given methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import onnx_ir as ir

from edgefleet_compiler.hub.graph import name_of
from edgefleet_compiler.quantise.calibrate import Range
from edgefleet_compiler.quantise.calibration.methods import range_by
from edgefleet_compiler.quantise.calibration.observe import Observations
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.layers import layers_of
from edgefleet_compiler.quantise.parameters import IntegerType, Parameters
from edgefleet_compiler.quantise.placement import Group, place
from edgefleet_compiler.quantise.search.trial import pair_parameters
from edgefleet_compiler.quantise.settings import Method, Settings

Words = Mapping[str, str]
"""Words of ``Method`` by the name of the activation."""


class Candidates:
    """Applies methods to what was seen of a hub, each once.

    Args:
        hub: A float hub in normal form.
        seen: What its activations were seen to be.
        settings: What is asked for otherwise.
        activations: The integers of the scheme.

    Attributes:
        groups: The activations that share parameters which the data decides.
    """

    def __init__(self, hub: ir.Model, seen: Observations, settings: Settings, activations: IntegerType) -> None:
        self._hub, self._seen, self._settings, self._activations = hub, seen, settings, activations
        placement = place(hub.graph, layers_of(hub.graph, settings, activations))
        self.groups = [group for group in placement.groups if group.observed]
        self._bits = {name: 16 if group.dtype == "int16" else 8 for group in self.groups for name in observed(group)}
        self._ranges: dict[tuple[str, Method], Range] = {}
        self._parameters: dict[str, dict[str, Parameters]] = {}

    def uniform(self, word: str) -> dict[str, str]:
        """The same method for every activation whose range is observed."""
        return dict.fromkeys(self._bits, word)

    def parameters_by(self, word: str) -> dict[str, Parameters]:
        """What all pairs have where one method is used throughout."""
        if word not in self._parameters:
            self._parameters[word] = self.parameters_of(self.uniform(word))
        return self._parameters[word]

    def parameters_of(self, words: Words) -> dict[str, Parameters]:
        """What all pairs have by these methods."""
        return pair_parameters(self.quantised(words))

    def quantised(self, words: Words) -> ir.Model:
        """The hub, quantised with ranges by these methods."""
        ranges = {name: self._range(name, Method.parse(word)) for name, word in words.items()}
        return quantise(self._hub, ranges, self._settings, self._activations)

    def _range(self, name: str, method: Method) -> Range:
        plain = replace(method, factor=1.0)
        if (name, plain) not in self._ranges:
            self._ranges[name, plain] = range_by(plain, self._seen.activations[name], self._bits[name])
        ends = self._ranges[name, plain]
        return Range(ends.low * method.factor, ends.high * method.factor)


def observed(group: Group) -> list[str]:
    """Names of the activations that make up a group's range."""
    return [name_of(value) for value in group.observed]
