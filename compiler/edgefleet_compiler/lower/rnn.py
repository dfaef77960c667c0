"""RNN: its steps written out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lower.recurrent import Cell, lower_recurrent
from edgefleet_compiler.lower.site import Site


def lower_rnn(site: Site) -> None:
    """Lower a simple recurrent layer."""
    lower_recurrent(site, _RnnCell)


class _RnnCell(Cell):
    """Elman 1990."""

    gates = 1
    default_activations = ("Tanh",)

    def input_biases(self) -> NDArray[np.float32]:
        summed: NDArray[np.float32] = self.biases().sum(axis=0)
        return summed

    def step(self, projected: str, states: list[str]) -> list[str]:
        return [self.activate(0, self.combine("ADD", projected, self.times_recurrent(states[0])))]
