"""GRU: its steps written out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lower.recurrent import Cell, lower_recurrent
from edgefleet_compiler.lower.site import Site


def lower_gru(site: Site) -> None:
    """Lower a GRU, with the reset before or behind the recurrent product."""
    lower_recurrent(site, _GruCell)


class _GruCell(Cell):
    """Cho et al. 2014, with ONNX's order of gates: update, reset, hidden."""

    gates = 3
    default_activations = ("Sigmoid", "Tanh")

    def input_biases(self) -> NDArray[np.float32]:
        of_input, of_state = self.biases()
        if self._resets_product:
            of_state = np.concatenate([of_state[: 2 * self.hidden], np.zeros(self.hidden, np.float32)])
        summed: NDArray[np.float32] = of_input + of_state
        return summed

    def step(self, projected: str, states: list[str]) -> list[str]:
        (state,) = states
        of_update, of_reset, of_candidate = self.split(projected, 3)
        if self._resets_product:
            from_update, from_reset, from_state = self.split(self.times_recurrent(state, bias=self._late_bias()), 3)
        else:
            from_update, from_reset = self.split(self.times_recurrent(state, slice(0, 2)), 2)
        update = self.activate(0, self.combine("ADD", of_update, from_update))
        reset = self.activate(0, self.combine("ADD", of_reset, from_reset))
        if self._resets_product:
            recurrent = self.combine("MUL", reset, from_state)
        else:
            recurrent = self.times_recurrent(self.combine("MUL", reset, state), slice(2, 3))
        candidate = self.activate(1, self.combine("ADD", of_candidate, recurrent))
        # (1 - update) * candidate + update * state, with one product less
        change = self.combine("MUL", update, self.combine("SUB", state, candidate))
        return [self.combine("ADD", candidate, change)]

    @property
    def _resets_product(self) -> bool:
        return bool(self.site.node.attributes.get_int("linear_before_reset", 0))

    def _late_bias(self) -> NDArray[np.float32]:
        """The bias that the reset gate scales, too; those of the gates are in the projected input."""
        bias = np.zeros(3 * self.hidden, np.float32)
        bias[2 * self.hidden :] = self.biases()[1, 2 * self.hidden :]
        return bias
