"""What training makes small: the distance from the labels, and that from what the teacher says.

Source: Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network" (1503.02531), section 2: the
Kullback-Leibler divergence of softened classes, times the square of the temperature. What is no class is compared by
mean squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir
import tensorflow as tf

from edgefleet_compiler.finetune.child.held import Held, Tensor
from edgefleet_compiler.finetune.child.network import logits_of
from edgefleet_compiler.finetune.messages import Goal
from edgefleet_compiler.hub.graph import name_of


@dataclass(frozen=True)
class Reading:
    """What losses read of a network.

    Attributes:
        logits: The name of the value before the first output's Softmax or Sigmoid; of the output without either.
        squashed: That operator, or "".
        outputs: Names, in order.
    """

    logits: str
    squashed: str
    outputs: tuple[str, ...]

    @staticmethod
    def of(graph: ir.Graph) -> Reading:
        """That of a graph."""
        return Reading(*logits_of(graph), tuple(map(name_of, graph.outputs)))

    def scores(self, values: Mapping[str, Held], *, of_classes: bool) -> list[Tensor]:
        """A matrix (cases, numbers) for each output; of the first its logits where they are wanted.

        A lone logit is that of the second of two classes.
        """
        names = [self.logits if of_classes else self.outputs[0], *self.outputs[1:]]
        rows = [tf.reshape(values[name].plain, (tf.shape(values[name].plain)[0], -1)) for name in names]
        if of_classes and rows[0].shape[1] == 1:
            rows[0] = tf.concat([tf.zeros_like(rows[0]), rows[0]], axis=1)
        return rows


@dataclass(frozen=True)
class Loss:
    """The loss of a batch.

    Attributes:
        goal: Of the first output.
        of_classes: Whether the first output tells classes apart.
        distill: The share of the teacher, 0 to 1.
        temperature: What logits are divided by.
    """

    goal: Goal
    of_classes: bool
    distill: float
    temperature: float

    def __call__(self, student: list[Tensor], teacher: list[Tensor], wanted: Tensor) -> Tensor:
        """One number a case.

        Args:
            student: Scores of the student.
            teacher: Scores of the teacher; not looked at where nothing is distilled.
            wanted: Labels, targets or inputs.
        """
        loss = tf.zeros(tf.shape(student[0])[:1])
        if self.distill < 1:
            loss += (1 - self.distill) * self._task(student[0], wanted)
        if self.distill > 0:
            loss += self.distill * self._distance(student, teacher)
        return loss

    def _task(self, scores: Tensor, wanted: Tensor) -> Tensor:
        if self.goal == "classes":
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.cast(wanted, tf.int64), logits=scores)
        return _mean_square(scores, tf.reshape(tf.cast(wanted, tf.float32), tf.shape(scores)))

    def _distance(self, student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        pairs = list(zip(student, teacher, strict=True))
        if not self.of_classes:
            return tf.add_n([_mean_square(mine, theirs) for mine, theirs in pairs])
        mine, theirs = (scores[0] / self.temperature for scores in (student, teacher))
        differences = tf.nn.log_softmax(theirs) - tf.nn.log_softmax(mine)
        divergence = tf.reduce_sum(tf.nn.softmax(theirs) * differences, axis=1) * self.temperature**2
        return tf.add_n([divergence, *(_mean_square(mine, theirs) for mine, theirs in pairs[1:])])


def _mean_square(first: Tensor, second: Tensor) -> Tensor:
    return tf.reduce_mean(tf.square(first - second), axis=1)
