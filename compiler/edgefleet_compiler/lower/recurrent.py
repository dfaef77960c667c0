"""What LSTM, GRU and RNN share: the steps over time written out, one after the other, over the same constants.

TFLite's own UNIDIRECTIONAL_SEQUENCE_LSTM keeps its state from one inference to the next, which ONNX's operators do not;
it would be right only once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lower.constants import Constant
from edgefleet_compiler.lower.site import Site

KINDS = {"Sigmoid": "LOGISTIC", "Tanh": "TANH", "Relu": "RELU"}
"""TFLite's operators for activation functions that have no parameters."""


MOST_STEPS = 500
"""A layer over more steps than this is refused: each becomes operators of its own."""


class Cell(ABC):
    """One direction of a recurrent layer (ONNX operator specification, LSTM, GRU and RNN).

    Attributes:
        site: Of the layer.
        direction: 0, or 1 for the second of two.
        states: The shape of each state: batch, hidden size.
    """

    gates: int
    """How many vectors of the hidden size one step computes from its input."""

    default_activations: tuple[str, ...]
    """Activation functions of one direction where the node names none."""

    state_inputs: tuple[int, ...] = (5,)
    """The node's inputs that hold initial states, in the order in which ``step`` takes the states."""

    def __init__(self, site: Site, direction: int) -> None:
        self.site = site
        self.direction = direction
        self._weights = self._matrix(1)
        self._recurrent = self._matrix(2)
        self.hidden = self._recurrent.stored.shape[1]
        self.states = (site.shape(0)[1], self.hidden)
        self.activations = self._activations()

    @abstractmethod
    def step(self, projected: str, states: list[str]) -> list[str]:
        """The states after one step; the first is the step's output.

        Args:
            projected: The input times its weights, plus ``input_biases``; shape (batch, gates * hidden size).
            states: Those before.
        """

    @abstractmethod
    def input_biases(self) -> NDArray[np.float32]:
        """What is added to the projected input; shape (gates * hidden size,)."""

    # --- over all steps --------------------------------------------------------------------------------------------

    def run(self, source: str, *, backwards: bool) -> tuple[list[str], list[str]]:
        """Write out every step.

        Args:
            source: The layer's input; shape (steps, batch, features).
            backwards: Whether the last step of the input comes first.

        Returns:
            The output of each step in the order of the input, and the last states.
        """
        steps, batch, _ = self.site.stored_shape(source)
        if steps > MOST_STEPS:
            self.site.refuse(f"it takes {steps} steps, and at most {MOST_STEPS} are written out")
        width = self.gates * self.hidden
        bias = self.site.add_operand(Constant(f"{self._weights.name}/bias", self.input_biases()))
        weights = self.site.add_operand(self._weights)
        projected = self.site.emit(
            "FULLY_CONNECTED", [source, weights, bias], (steps, batch, width), {"keep_num_dims": True}
        )
        parts = self.site.emit_parts("UNPACK", [projected], [(batch, width)] * steps, {"num": steps, "axis": 0})
        states = [self._initial(index) for index in self.state_inputs]
        outputs = []
        for part in reversed(parts) if backwards else parts:
            states = self.step(part, states)
            outputs.append(states[0])
        return outputs[::-1] if backwards else outputs, states

    def _initial(self, index: int) -> str:
        """The state before the first step: zeros where the node has no such input."""
        if self.site.value(index) is None:
            return self.site.add_float("zero_state", np.zeros(self.states))
        known = self.site.constant(index)
        if known is not None:
            return self.site.add_float("initial_state", known.real[self.direction])
        begin, size = [self.direction, 0, 0], [1, *self.states]
        bounds = [self.site.add_setting("begin", begin), self.site.add_setting("size", size)]
        part = self.site.emit("SLICE", [self.site.input(index), *bounds], tuple(size))
        return self.site.reshape(part, self.states)

    # --- what steps are made of --------------------------------------------------------------------------------------

    def times_recurrent(self, state: str, rows: slice = slice(None), bias: NDArray[np.float32] | None = None) -> str:
        """A state times the recurrent weights, or those of some gates (``rows`` of the hidden size each)."""
        chosen = slice(*(None if end is None else end * self.hidden for end in (rows.start, rows.stop)))
        weights = replace(self._recurrent.rows(chosen), name=f"{self._recurrent.name}/{rows.start or 0}")
        added = np.zeros(len(weights.stored), np.float32) if bias is None else bias
        operands = [self.site.add_operand(weights), self.site.add_operand(Constant("recurrent_bias", added))]
        return self.site.emit("FULLY_CONNECTED", [state, *operands], (self.states[0], len(weights.stored)))

    def split(self, tensor: str, count: int) -> list[str]:
        """The gates of a tensor, each of the shape of a state."""
        axis = self.site.add_setting("axis", [1])
        return self.site.emit_parts("SPLIT", [axis, tensor], [self.states] * count, {"num_splits": count})

    def activate(self, index: int, tensor: str) -> str:
        """Activation function ``index`` of the direction."""
        return self.site.emit(KINDS[self.activations[index]], [tensor], self.site.stored_shape(tensor))

    def combine(self, kind: str, left: str, right: str) -> str:
        """ADD, SUB or MUL of two tensors of one shape."""
        return self.site.emit(kind, [left, right], self.site.stored_shape(left))

    # --- what the node says ------------------------------------------------------------------------------------------

    def biases(self) -> NDArray[np.float32]:
        """Those of the input and those of the state; shape (2, gates * hidden size)."""
        given = self.site.setting(3, "biases")
        if given is None:
            return np.zeros((2, self.gates * self.hidden), np.float32)
        biases: NDArray[np.float32] = given[self.direction].reshape(2, -1).astype(np.float32)
        return biases

    def _matrix(self, index: int) -> Constant:
        constant = self.site.constant(index)
        if constant is None:
            self.site.refuse("its weights are computed at run time")
        return constant.part(self.direction)

    def _activations(self) -> Sequence[str]:
        count = len(self.default_activations)
        attributes = self.site.node.attributes
        named = list(attributes.get_strings("activations", []))
        chosen = named[self.direction * count :][:count] if named else self.default_activations
        for name in chosen:
            if name not in KINDS:
                self.site.refuse(f"its activation function {name}; {', '.join(KINDS)} are lowered")
        return chosen


def lower_recurrent(site: Site, cell: type[Cell]) -> None:
    """Lower a recurrent layer of one or two directions; time lies on the first axis (``layout`` 0)."""
    if "clip" in site.node.attributes:
        site.refuse("it clips what goes into its activation functions")
    steps, batch, _ = site.shape(0)
    lengths = site.setting(4, "sequence lengths")
    if lengths is not None and np.any(lengths != steps):
        site.refuse(f"its sequences have lengths {lengths.tolist()}, not all {steps}")
    kind = site.node.attributes.get_string("direction", "forward")
    runs = []
    for direction, backwards in enumerate({"forward": [False], "reverse": [True]}.get(kind, [False, True])):
        runs.append(cell(site, direction).run(site.input(), backwards=backwards))
    hidden = site.stored_shape(runs[0][0][0])[1]
    packed = [
        site.emit("PACK", outputs, (steps, batch, hidden), {"values_count": steps, "axis": 0}) for outputs, _ in runs
    ]
    sequences = [site.reshape(tensor, (steps, 1, batch, hidden)) for tensor in packed]
    results = [_joined(site, sequences, axis=1)]
    for index in range(len(runs[0][1])):
        last = [site.reshape(states[index], (1, batch, hidden)) for _, states in runs]
        results.append(_joined(site, last, axis=0))
    for index, (value, result) in enumerate(zip(site.node.outputs, results, strict=False)):
        if value.name:
            site.finish_with(result, index)


def _joined(site: Site, directions: list[str], axis: int) -> str:
    if len(directions) == 1:
        return directions[0]
    shape = list(site.stored_shape(directions[0]))
    shape[axis] = len(directions)
    return site.emit("CONCATENATION", directions, tuple(shape), {"axis": axis})
