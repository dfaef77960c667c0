"""LSTM: its steps written out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lower.recurrent import Cell, lower_recurrent
from edgefleet_compiler.lower.site import Site


def lower_lstm(site: Site) -> None:
    """Lower an LSTM, peepholes included."""
    if site.node.attributes.get_int("input_forget", 0):
        site.refuse("its input and forget gates are coupled")
    lower_recurrent(site, _LstmCell)


class _LstmCell(Cell):
    """Hochreiter and Schmidhuber 1997, with ONNX's order of gates: input, output, forget, cell."""

    gates = 4
    default_activations = ("Sigmoid", "Tanh", "Tanh")
    state_inputs = (5, 6)

    def input_biases(self) -> NDArray[np.float32]:
        summed: NDArray[np.float32] = self.biases().sum(axis=0)
        return summed

    def step(self, projected: str, states: list[str]) -> list[str]:
        state, cell = states
        gates = self.combine("ADD", projected, self.times_recurrent(state))
        into, out, forget, candidate = self.split(gates, 4)
        kept = self.combine("MUL", self.activate(0, self._peeped(forget, cell, 2)), cell)
        added = self.combine("MUL", self.activate(0, self._peeped(into, cell, 0)), self.activate(1, candidate))
        cell = self.combine("ADD", kept, added)
        opened = self.activate(0, self._peeped(out, cell, 1))
        return [self.combine("MUL", opened, self.activate(2, cell)), cell]

    def _peeped(self, gate: str, cell: str, index: int) -> str:
        """A gate that sees the cell through the peephole ``index``, where the node has any (Gers et al. 2000)."""
        peepholes = self.site.setting(7, "peepholes")
        if peepholes is None:
            return gate
        weights = peepholes[self.direction].reshape(3, -1)[index]
        seen = self.site.emit("MUL", [cell, self.site.add_float("peephole", weights)], self.states)
        return self.combine("ADD", gate, seen)
