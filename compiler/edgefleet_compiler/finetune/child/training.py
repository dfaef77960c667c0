"""The training itself: epochs of steps, each measured on held-out cases, until the last or until none gets better."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from edgefleet_compiler.finetune.child.adam import Adam
from edgefleet_compiler.finetune.child.cases import Array, Cases, Indices, flipped_and_cropped, shuffled
from edgefleet_compiler.finetune.child.held import Tensor
from edgefleet_compiler.finetune.child.likeness import require_like
from edgefleet_compiler.finetune.child.losses import Loss, Reading
from edgefleet_compiler.finetune.child.network import Network
from edgefleet_compiler.finetune.child.rounding import Rounder, stored_weights
from edgefleet_compiler.finetune.child.state import State
from edgefleet_compiler.finetune.child.teacher import Teacher
from edgefleet_compiler.finetune.messages import (
    HUB,
    START,
    TEACHER,
    TRAINING,
    VALIDATION,
    WEIGHTS,
    Answer,
    Begun,
    Epoch,
    Finished,
    Passed,
    Question,
    Stepped,
)
from edgefleet_compiler.finetune.schedule import learning_rate
from edgefleet_compiler.finetune.trainable import weights_of, with_weights
from edgefleet_compiler.hub.graph import name_of
from edgefleet_contract.errors import TrainingDiverged

Tell = Callable[[Answer], None]

_MEASURED_AT_ONCE = 250


class Training:
    """One training.

    Args:
        question: What to do.
        tell: Told of each step and epoch.

    Raises:
        OperatorUnsupported: The model or its teacher has operators that training does not take.
        ParityLost: TensorFlow computes something else than onnxruntime of either.
        RecipeMalformed: The recipe names what is not there.
        RecipeUnfit: It asks for integers of a layer that has no such form.
    """

    def __init__(self, question: Question, tell: Tell) -> None:
        self._question, self._tell = question, tell
        self._folder = Path(question.folder)
        self._settings = question.settings
        self._cases, self._held_out = Cases(self._folder / TRAINING), Cases(self._folder / VALIDATION)
        self._hub = ir.load(self._folder / HUB)
        self._initial = weights_of(self._hub.graph)
        self._variables = {name: tf.Variable(array) for name, array in self._initial.items()}
        self._reading = Reading.of(self._hub.graph)
        self._adam = Adam(list(self._variables.values()), list(self._initial.values()))
        names = [name_of(value) for value in self._hub.graph.inputs]
        self._rounder = None if question.quantiser is None else Rounder(question.quantiser, self._cases, names)
        self._network = Network(self._hub, self._variables)
        require_like(self._network, self._hub, self._cases, "the model")
        of_classes = question.goal == "classes" or (question.goal == "teacher" and bool(self._reading.squashed))
        self._loss = Loss(question.goal, of_classes, self._settings.distill, self._settings.temperature)
        self._teacher = self._make_teacher(of_classes)
        self._step, self._measure = self._compiled()

    def run(self) -> None:
        """Train, and leave the weights of the best epoch in ``WEIGHTS``.

        Raises:
            TrainingDiverged: The loss is no number any more.
        """
        state = self._start()
        while not self._is_done(state):
            state = self._next(state)
            name = f"state-{len(state.epochs)}.npz"
            state.write(self._folder / name)
            self._tell(Passed(state.epochs, state.best, name))
        weights = {f"{index}": array for index, array in enumerate(state.best_weights)}
        np.savez(self._folder / WEIGHTS, **weights)  # type: ignore[arg-type]  # numpy's stub takes arrays for its option
        self._tell(Finished(state.epochs, state.best))

    def _is_done(self, state: State) -> bool:
        done = len(state.epochs) - 1
        return done >= self._settings.epochs or done - state.best >= self._settings.patience

    def _start(self) -> State:
        """As the epochs before left it; measured as it is where there were none."""
        start = self._folder / START
        if start.exists():
            state = State.read(start, list(self._initial.values()))
            arrays = [*state.weights, *state.first, *state.second]
            for array, variable in zip(arrays, self._kept(), strict=True):
                variable.assign(array)
            self._round()
            return state
        self._round()
        epoch = self._measured(0, None, 0.0)
        if not math.isfinite(epoch.validation_loss):
            raise _diverged(0, 0, self._settings.learning_rate)
        weights = [variable.numpy() for variable in self._variables.values()]
        zeros = [np.zeros_like(array) for array in weights]
        return State([epoch], 0, weights, zeros, zeros, weights)

    def _next(self, state: State) -> State:
        """The state after one more epoch."""
        number, settings = len(state.epochs), self._settings
        steps = math.ceil(len(self._cases) / settings.batch)
        self._tell(Begun(number, steps))
        generator = np.random.default_rng([self._question.seed, number, 1])
        order = shuffled(len(self._cases), self._question.seed, number)
        total, rate = 0.0, 0.0
        for index, chosen in enumerate(self._cases.batches(settings.batch, order)):
            step = (number - 1) * steps + index
            rate = learning_rate(step, settings.epochs * steps, settings.learning_rate)
            inputs, taught = self._lesson(chosen, generator)
            wanted = self._wanted(self._cases, chosen, inputs)
            loss = float(self._step(_tensors(inputs), taught, wanted, tf.constant(rate), tf.constant(step + 1.0)))
            if not math.isfinite(loss):
                raise _diverged(number, index, settings.learning_rate)
            total += loss * len(chosen)
            self._tell(Stepped())
        self._round()
        epoch = self._measured(number, total / len(self._cases), rate)
        if not math.isfinite(epoch.validation_loss):
            raise _diverged(number, steps, settings.learning_rate)
        arrays, count = [variable.numpy() for variable in self._kept()], len(self._variables)
        weights, first, second = (arrays[start : start + count] for start in (0, count, 2 * count))
        if epoch.is_better_than(state.epochs[state.best]):
            return State([*state.epochs, epoch], number, weights, first, second, weights)
        return State([*state.epochs, epoch], state.best, weights, first, second, state.best_weights)

    def _lesson(self, chosen: Indices, generator: np.random.Generator) -> tuple[list[Array], list[Tensor]]:
        """The inputs of a batch, and what the teacher says of them."""
        inputs = self._cases.inputs(chosen)
        if self._settings.augment == "none":
            return inputs, self._teacher.says_of(self._cases, chosen)
        inputs[0] = flipped_and_cropped(inputs[0], self._question.axes, generator)
        return inputs, self._teacher.says(inputs)

    def _measured(self, number: int, loss: float | None, rate: float) -> Epoch:
        """The epoch with what the held-out cases say of the weights as they are."""
        cases, lost, right = self._held_out, 0.0, 0
        for chosen in cases.batches(_MEASURED_AT_ONCE):
            inputs = cases.inputs(chosen)
            wanted = self._wanted(cases, chosen, inputs)
            losses, hits = self._measure(_tensors(inputs), self._teacher.says_of(cases, chosen), wanted)
            lost, right = lost + float(losses), right + int(hits)
        top1 = right / len(cases) if self._question.goal == "classes" else None
        return Epoch(
            epoch=number,
            loss=loss,
            validation_loss=lost / len(cases),
            validation_top1=top1,
            learning_rate=rate,
        )

    def _wanted(self, cases: Cases, chosen: Indices, inputs: list[Array]) -> Tensor:
        return tf.constant(inputs[0] if self._question.goal == "itself" else cases.targets(chosen))

    def _kept(self) -> list[Any]:
        """All variables that change: weights, then the optimiser's."""
        return [*self._variables.values(), *self._adam.first, *self._adam.second]

    def _make_teacher(self, of_classes: bool) -> Teacher:
        if not self._question.has_teacher:
            return Teacher(None, of_classes=of_classes)
        hub = ir.load(self._folder / TEACHER)
        teacher = Teacher(hub, of_classes=of_classes)
        assert teacher.network is not None
        require_like(teacher.network, hub, self._cases, "the teacher")
        return teacher

    def _round(self) -> None:
        """Let the network round like the quantiser would with the weights as they are."""
        if self._rounder is None:
            return
        hub = with_weights(self._hub, {name: variable.numpy() for name, variable in self._variables.items()})
        rounded = self._rounder.rounded(hub)
        network = Network(rounded, self._variables, stored_weights(hub, rounded))
        if network.signature == self._network.signature:
            self._network.refresh(rounded)
        else:
            self._network = network
            self._reading = Reading.of(rounded.graph)
            self._step, self._measure = self._compiled()

    def _compiled(self) -> tuple[Any, Any]:
        """A step, and a measurement, of the network as it is now."""
        network, reading, loss, adam = self._network, self._reading, self._loss, self._adam
        variables = list(self._variables.values())

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow ships no types
        def step(inputs: list[Tensor], taught: list[Tensor], wanted: Tensor, rate: Tensor, number: Tensor) -> Tensor:
            with tf.GradientTape() as tape:
                scores = reading.scores(network(inputs), of_classes=loss.of_classes)
                mean = tf.reduce_mean(loss(scores, taught, wanted))
            adam.apply(tape.gradient(mean, variables), rate, number)
            return mean

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # as above
        def measure(inputs: list[Tensor], taught: list[Tensor], wanted: Tensor) -> tuple[Tensor, Tensor]:
            scores = reading.scores(network(inputs), of_classes=loss.of_classes)
            losses = tf.reduce_sum(loss(scores, taught, wanted))
            if loss.goal != "classes":
                return losses, tf.constant(0)
            hits = tf.equal(tf.argmax(scores[0], axis=1), tf.cast(wanted, tf.int64))
            return losses, tf.reduce_sum(tf.cast(hits, tf.int32))

        return step, measure


def _tensors(arrays: list[Array]) -> list[Tensor]:
    return [tf.constant(array) for array in arrays]


def _diverged(epoch: int, step: int, rate: float) -> TrainingDiverged:
    return TrainingDiverged(
        f"The loss is no number any more, in epoch {epoch} after {step} steps",
        expected="a finite loss",
        remedy=f"Give a smaller --learning-rate than {rate:g}, and check the data for values far out.",
        epoch=epoch,
        step=step,
    )
