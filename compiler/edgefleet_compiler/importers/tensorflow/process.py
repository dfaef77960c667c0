"""The compiler's side of the TensorFlow child: starts it, limits it, and takes its answer.

The child sees the same packages as this process and nothing else of it: a fresh environment without the caller's
variables, an empty home, a copy of the source in a folder of its own, and no stdin. What it prints goes to a file.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edgefleet_compiler.importers.tensorflow.messages import (
    ANSWER,
    CONVERTED,
    LOG,
    Answer,
    Converted,
    OutOfMemory,
    Question,
    Refused,
)
from edgefleet_compiler.importers.tensorflow.sources import TensorFlowSource
from edgefleet_compiler.importers.tensorflow.verify import verify
from edgefleet_compiler.tensorflow_child import end, last_words, require_tensorflow, start_child, tells_of_memory
from edgefleet_contract.errors import ConversionLimitReached, ModelMalformed, revive
from edgefleet_hardware.units import format_bytes

_CHILD: Final = "edgefleet_compiler.importers.tensorflow.child"
_MOST_ANSWER_BYTES = 1 << 20
_BASE_BYTES: Final = 6 << 30
_TIMES_SOURCE: Final = 8
_GRACE_S: Final = 10


@dataclass(frozen=True)
class Limits:
    """What the child may take.

    Attributes:
        seconds: From its start to its answer. TensorFlow alone takes three to twelve to load.
        memory_bytes: Address space. TensorFlow maps 2.5 GB before it has seen a model, and holds the constants of one
            eight times over while it converts them. None reckons with that.
    """

    seconds: float = 600.0
    memory_bytes: int | None = None

    def memory_for(self, source: TensorFlowSource) -> int:
        """The limit for one source, in bytes."""
        return self.memory_bytes or _BASE_BYTES + _TIMES_SOURCE * source.size


def convert(
    source: TensorFlowSource, *, input_shapes: Mapping[str, tuple[int, ...]], limits: Limits | None = None
) -> bytes:
    """A source as a float ``.tflite`` model that was seen to compute the same.

    Args:
        source: The Keras file or SavedModel.
        input_shapes: Shapes for inputs that it leaves open, by name; an open batch becomes 1.
        limits: What this may take.

    Returns:
        A file whose inputs and outputs have the names, order, shapes and axis order of the source.

    Raises:
        UsageMalformed: TensorFlow is not installed; or ``input_shapes`` does not fit, or an input stays open.
        ModelMalformed: No such model, or a truncated or contradictory one.
        ModelCarriesCode: Loading the model would run code that came with it.
        OperatorUnsupported: Custom layers, or operators that TFLite does not have.
        ConversionLimitReached: It takes more time or memory than allowed.
        ParityLost: What was converted does not compute what the source computes.
    """
    require_tensorflow("Keras and SavedModel files need", "or export the model to ONNX or TFLite")
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="edgefleet-") as name:
        folder = Path(name)
        source.write_to(folder)
        question = Question(
            source.format, name, dict(input_shapes), limits.memory_for(source), seconds=int(limits.seconds) + _GRACE_S
        )
        answer = _ask(question, limits.seconds)
        converted = (folder / CONVERTED).read_bytes()
        verify(converted, folder, answer)
    return converted


def _ask(question: Question, seconds: float) -> Converted:
    folder = Path(question.folder)
    process = start_child(_CHILD, folder, LOG)
    try:
        process.communicate(msgspec.json.encode(question), timeout=seconds)
    except subprocess.TimeoutExpired as cause:
        raise ConversionLimitReached(
            f"Loading and converting the model took longer than {seconds:g} s",
            remedy="Export it to ONNX or TFLite where it was trained, and compile that.",
            seconds=seconds,
        ) from cause
    finally:
        end(process)
    answer = _answer(folder, process.returncode)
    if isinstance(answer, OutOfMemory):
        raise _out_of_memory(question)
    if isinstance(answer, Refused):
        raise revive(answer.error)
    return answer


def _answer(folder: Path, status: int) -> Answer:
    path = folder / ANSWER
    if path.is_file() and path.stat().st_size <= _MOST_ANSWER_BYTES:
        try:
            answer: Answer = msgspec.json.decode(path.read_bytes(), type=Answer)
        except msgspec.DecodeError as cause:
            raise ModelMalformed(f"TensorFlow's process gave an answer that does not decode: {cause}") from cause
        return answer
    said = last_words(folder / LOG)
    if tells_of_memory(said):
        return OutOfMemory()
    died = f"signal {-status}" if status < 0 else f"exit status {status}"
    raise ModelMalformed(
        f"TensorFlow's process ended with {died} over the model" + (f": {said.splitlines()[-1]}" if said else ""),
        expected="a model that TensorFlow loads and converts",
        remedy="Export it to ONNX or TFLite where it was trained, and compile that.",
    )


def _out_of_memory(question: Question) -> ConversionLimitReached:
    return ConversionLimitReached(
        f"Loading and converting the model takes more than {format_bytes(question.memory_bytes)} of memory",
        remedy="Check the sizes of its layers; or export it to ONNX or TFLite where it was trained, and compile that.",
        memory_bytes=question.memory_bytes,
    )
