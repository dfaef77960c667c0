"""Training a hub: what the child needs is laid out, the child is started, and its weights come back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import numpy as np
import onnx_ir as ir

from edgefleet_compiler.compress.settings import Finetuning
from edgefleet_compiler.finetune.lessons import Lessons
from edgefleet_compiler.finetune.messages import (
    HUB,
    LOG,
    START,
    TEACHER,
    WEIGHTS,
    Answer,
    Begun,
    Epoch,
    Finished,
    OutOfMemory,
    Passed,
    Quantiser,
    Question,
    Refused,
    Stepped,
)
from edgefleet_compiler.finetune.trainable import weights_of, with_weights
from edgefleet_compiler.hub.graph import activations, byte_size
from edgefleet_compiler.hub.session import serialise
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.tensorflow_child import end, last_words, start_child, tells_of_memory
from edgefleet_contract.errors import TrainingFailed, revive
from edgefleet_hardware.units import format_bytes

_CHILD: Final = "edgefleet_compiler.finetune.child"
_BASE_BYTES: Final = 8 << 30
_TIMES_ACTIVATIONS: Final = 16
"""Of all activations of a batch: both forms of each, its gradient, and room for what kernels take."""


@dataclass(frozen=True)
class Trained:
    """What came of it.

    Attributes:
        hub: With the weights of the best epoch.
        epochs: All of them, the model before training first.
        best: Which was the best.
    """

    hub: ir.Model
    epochs: list[Epoch]
    best: int


OnEpoch = Callable[[list[Epoch], int, Path], None]
"""Gets the epochs so far, which of them is the best, and a file that a later training can start from; the file is the
caller's from then on."""


def train(
    hub: ir.Model,
    teacher: ir.Model | None,
    lessons: Lessons,
    settings: Finetuning,
    *,
    seed: int,
    quantiser: Quantiser | None,
    folder: Path,
    progress: Progress,
    start: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train the weights of a hub on.

    Args:
        hub: Float, in hub normal form; it is not changed.
        teacher: What it is to say, too; of the same inputs and outputs. None for no distillation.
        lessons: The cases, laid out in ``folder``.
        settings: How.
        seed: Of the order of cases, and of what augments them.
        quantiser: What to round like meanwhile; None to train in float.
        folder: For models, arrays and states; the caller removes it.
        progress: Told of epochs and steps.
        start: A file that ``on_epoch`` got, to go on from.
        on_epoch: Called after each epoch.

    Raises:
        OperatorUnsupported: The model or the teacher has operators that training does not take; all are named.
        ParityLost: TensorFlow computes the model otherwise than onnxruntime.
        RecipeMalformed: The quantiser's settings name what is not there.
        RecipeUnfit: They ask for integers of a layer that has no such form.
        TrainingDiverged: The loss became NaN or infinite.
        TrainingFailed: The child died, or takes more memory than it may.
    """
    (folder / HUB).write_bytes(serialise(hub))
    if teacher is not None:
        (folder / TEACHER).write_bytes(serialise(teacher))
    if start is not None:
        (folder / START).write_bytes(start.read_bytes())
    reader, writer = os.pipe()
    question = Question(
        folder=str(folder),
        pipe=writer,
        memory_bytes=_memory_for(hub, teacher, lessons, settings.batch),
        settings=settings,
        seed=seed,
        goal=lessons.goal,
        has_teacher=teacher is not None,
        axes=lessons.axes,
        quantiser=quantiser,
    )
    progress.stage("starting TensorFlow")
    with os.fdopen(reader, "rb") as pipe:
        finished = _follow(question, pipe, folder, settings, progress, on_epoch)
    with np.load(folder / WEIGHTS, allow_pickle=False) as file:
        weights = {name: file[f"{index}"] for index, name in enumerate(weights_of(hub.graph))}
    return Trained(with_weights(hub, weights), finished.epochs, finished.best)


def _follow(
    question: Question,
    pipe: BinaryIO,
    folder: Path,
    settings: Finetuning,
    progress: Progress,
    on_epoch: OnEpoch | None,
) -> Finished:
    process = _started(question, folder)
    epochs: Sequence[Epoch] = ()
    try:
        for answer in _answers(pipe):
            match answer:
                case Begun(epoch=epoch, steps=steps):
                    done = f"{_told(epochs[-1], settings.epochs)}; now " if epochs else ""
                    progress.stage(f"{done}epoch {epoch} of {settings.epochs}", steps)
                case Stepped():
                    progress.advance()
                case Passed(epochs=epochs, best=best, state=state):
                    if on_epoch is not None:
                        on_epoch(list(epochs), best, folder / state)
                case Finished(epochs=epochs):
                    progress.stage(_told(epochs[-1], settings.epochs))
                    return answer
                case Refused(error=error):
                    raise revive(error)
                case OutOfMemory():
                    raise _out_of_memory(question)
        process.wait()
        raise _died(question, folder, process.returncode)
    finally:
        end(process)


def _started(question: Question, folder: Path) -> subprocess.Popen[bytes]:
    process = start_child(_CHILD, folder, LOG, pipes=[question.pipe])
    os.close(question.pipe)
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin as stdin:  # it died at once: the end of its answers tells
        stdin.write(msgspec.json.encode(question))
    return process


def _answers(pipe: BinaryIO) -> Iterator[Answer]:
    for line in pipe:
        answer: Answer = msgspec.json.decode(line, type=Answer)
        yield answer


def _told(done: Epoch, epochs: int) -> str:
    """How an epoch went, in one line."""
    when = f"epoch {done.epoch} of {epochs}" if done.epoch else "before training"
    trained = "" if done.loss is None else f"loss {done.loss:.4g}, "
    right = "" if done.validation_top1 is None else f", top1 {done.validation_top1:.4f}"
    return f"{when}: {trained}held-out loss {done.validation_loss:.4g}{right}"


def _memory_for(hub: ir.Model, teacher: ir.Model | None, lessons: Lessons, batch: int) -> int:
    models = [model for model in (hub, teacher) if model is not None]
    weights = sum(byte_size(value) for model in models for value in model.graph.initializers.values())
    inner = sum(byte_size(value) for model in models for value in activations(model.graph))
    return _BASE_BYTES + 2 * lessons.bytes + 16 * weights + _TIMES_ACTIVATIONS * inner * max(batch, 250)


def _out_of_memory(question: Question) -> TrainingFailed:
    return TrainingFailed(
        f"Training takes more than {format_bytes(question.memory_bytes)} of memory",
        remedy="Give a smaller --batch.",
        memory_bytes=question.memory_bytes,
    )


def _died(question: Question, folder: Path, status: int) -> TrainingFailed:
    said = last_words(folder / LOG)
    if tells_of_memory(said):
        return _out_of_memory(question)
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    return TrainingFailed(
        f"The process that trains ended with {how}" + (f": {said.splitlines()[-1]}" if said else ""),
        remedy="Give --resume to go on from the last epoch; a smaller --batch takes less memory.",
    )
