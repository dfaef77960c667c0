"""What a layer gets and what it should give, case by case."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.compress.linear import Linear
from edgefleet_compiler.compress.moments import Gathering, Moments


class LayerGathering:
    """Gathers the moments of one layer, one case at a time.

    Args:
        node: The layer.
    """

    def __init__(self, node: ir.Node) -> None:
        self._linear = Linear(node)
        self._gathering = Gathering(self._linear.groups, self._linear.inputs, self._linear.channels)
        self._random = np.random.default_rng(0), np.random.default_rng(0)  # both draw the same positions

    def add(self, inputs: NDArray[Any], outputs: NDArray[Any]) -> None:
        """Add what the layer gets in a case, and what it should give there before its activation."""
        self._gathering.add(self._linear.rows(inputs, self._random[0]), self._linear.results(outputs, self._random[1]))

    def moments(self) -> Moments:
        """Of all cases; zeros before any."""
        return self._gathering.moments()
