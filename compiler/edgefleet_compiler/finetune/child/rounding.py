"""The hub that training rounds like: what the quantiser makes of the weights as they are now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.calibrator import Calibrator
from edgefleet_compiler.data.dataset import DataSet
from edgefleet_compiler.finetune.child.cases import Cases
from edgefleet_compiler.finetune.messages import Quantiser
from edgefleet_compiler.finetune.trainable import weights_of
from edgefleet_compiler.hub.graph import constant, name_of
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.parameters import IntegerType
from edgefleet_compiler.quantise.weight_only import weight_only
from edgefleet_compiler.tensors import Sample

_CASES = 200


class Rounder:
    """Quantises hubs of one model by the same cases.

    Args:
        quantiser: The recipe's.
        cases: The first of them are what ranges are found by.
        names: Of the inputs, in order.
    """

    def __init__(self, quantiser: Quantiser, cases: Cases, names: list[str]) -> None:
        self._quantiser = quantiser
        self._cases = cases
        self._names = names

    def rounded(self, hub: ir.Model) -> ir.Model:
        """A hub with the pairs of the recipe.

        Raises:
            RecipeMalformed: The settings name what is not there.
            RecipeUnfit: They ask for integers of a layer that has no such form.
        """
        scheme, settings = self._quantiser.scheme, self._quantiser.settings
        if scheme == "weight-only":
            return weight_only(hub, settings)
        integers: IntegerType = "int8" if scheme == "int8" else "int16"
        count = min(_CASES, len(self._cases))
        data = DataSet(Path("the training set"), "", count, None, lambda: map(self._sample, range(count)))
        ranges = Calibrator(data, Silent()).ranges("hub", hub, settings, [], 8 if scheme == "int8" else 16)
        return quantise(hub, ranges, settings, integers)

    def _sample(self, index: int) -> Sample:
        return dict(zip(self._names, self._cases.inputs(np.arange(index, index + 1)), strict=True))


def stored_weights(hub: ir.Model, rounded: ir.Model) -> dict[str, str]:
    """Which stored constant of a hub with pairs stands for which weight of the float hub, by name."""
    weights = weights_of(hub.graph)
    nodes = {node.name: node for node in rounded.graph}
    found = {}
    for node in hub.graph:
        for index, value in enumerate(node.inputs):
            if value is None or value.name not in weights:
                continue
            behind = nodes[node.name].inputs[index]
            widened = None if behind is None else behind.producer()
            if widened is not None and constant(widened.inputs[0]) is not None and widened.inputs[0] is not None:
                found[name_of(widened.inputs[0])] = name_of(value)
    return found
