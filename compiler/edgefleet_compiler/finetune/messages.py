"""What the compiler and the child that trains say to each other, as JSON; models and arrays lie in files between them.

The question goes to stdin; answers come line by line through a pipe of their own.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from edgefleet_compiler.compress.settings import Finetuning
from edgefleet_compiler.quantise.settings import Settings

# Files in the folder that both share.
HUB: Final = "hub.onnx"
TEACHER: Final = "teacher.onnx"
TRAINING: Final = "training"
VALIDATION: Final = "validation"
TARGETS: Final = "targets.npy"
START: Final = "start.npz"
WEIGHTS: Final = "weights.npz"
LOG: Final = "log.txt"

Goal = Literal["classes", "values", "itself", "teacher"]
"""What the first output is to be: the label's class; the target; the first input; whatever the teacher says."""

Rounding = Literal["int8", "int16x8", "weight-only"]


class Quantiser(msgspec.Struct, frozen=True):
    """What training rounds like.

    Attributes:
        scheme: Of the recipe.
        settings: Of the recipe.
    """

    scheme: Rounding
    settings: Settings


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What the child is to do.

    Attributes:
        folder: What the two share.
        pipe: The descriptor that answers go to.
        memory_bytes: Address space that it may take.
        settings: How it trains.
        seed: Of the order of cases, and of what augments them.
        goal: Of the first output.
        has_teacher: Whether ``TEACHER`` is there.
        axes: Of the first input: "NHWC" or "NCHW", or "".
        quantiser: What it rounds like; None to train in float.
    """

    folder: str
    pipe: int
    memory_bytes: int
    settings: Finetuning
    seed: int
    goal: Goal
    has_teacher: bool
    axes: str
    quantiser: Quantiser | None


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """One pass over the cases.

    Attributes:
        epoch: From 1; 0 is the model before any training.
        loss: Mean over the epoch; None before any training.
        validation_loss: Of the held-out cases, by the same loss.
        validation_top1: The share of held-out cases whose class is right; None without labels.
        learning_rate: At the end of the epoch.
    """

    epoch: int
    loss: float | None
    validation_loss: float
    validation_top1: float | None
    learning_rate: float

    def is_better_than(self, other: Epoch) -> bool:
        """By the share of right classes where there are labels, and by the loss where that is equal."""
        mine, theirs = self.validation_top1 or 0.0, other.validation_top1 or 0.0
        return (mine, -self.validation_loss) > (theirs, -other.validation_loss)


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """An epoch begins."""

    epoch: int
    steps: int


class Stepped(msgspec.Struct, frozen=True, tag="stepped"):
    """A step of the epoch is done."""


class Passed(msgspec.Struct, frozen=True, tag="passed"):
    """An epoch is done.

    Attributes:
        epochs: All so far.
        best: Which of them is the best.
        state: The file in the shared folder with which training can go on from here.
    """

    epochs: list[Epoch]
    best: int
    state: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """Training has ended; the shared folder holds ``WEIGHTS`` of the best epoch."""

    epochs: list[Epoch]
    best: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """Nothing can be trained; ``error`` is as ``EdgefleetError.as_json`` writes it."""

    error: dict[str, object]


class OutOfMemory(msgspec.Struct, frozen=True, tag="out_of_memory"):
    """The limit was reached."""


Answer = Begun | Stepped | Passed | Finished | Refused | OutOfMemory
