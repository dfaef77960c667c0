"""The child's way: limit itself, inspect, load, compute the reference, convert, answer."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

import msgspec

from edgefleet_compiler.importers.tensorflow.child.inspection import inspect
from edgefleet_compiler.importers.tensorflow.messages import (
    ANSWER,
    CONVERTED,
    REFERENCE,
    Answer,
    Converted,
    OutOfMemory,
    Question,
    Refused,
)
from edgefleet_contract.errors import EdgefleetError

_MOST_FILE_BYTES = 4 << 30


def main() -> None:
    """Answer the question on stdin in the folder that it names."""
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    signal.alarm(question.seconds)
    _limit(question.memory_bytes)
    answer = _answer(question)
    (Path(question.folder) / ANSWER).write_bytes(msgspec.json.encode(answer))


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_FILE_BYTES, _MOST_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(question: Question) -> Answer:
    try:
        return _convert(question)
    except EdgefleetError as error:
        return Refused(error.as_json())
    except MemoryError:
        return OutOfMemory()


def _convert(question: Question) -> Converted:
    folder = Path(question.folder)
    inspect(folder, question.format)
    # From here on TensorFlow is loaded, which takes seconds.
    from edgefleet_compiler.importers.tensorflow.child.conversion import convert  # noqa: PLC0415
    from edgefleet_compiler.importers.tensorflow.child.loading import load  # noqa: PLC0415
    from edgefleet_compiler.importers.tensorflow.child.reference import write_reference  # noqa: PLC0415

    model = load(folder, question.format, question.input_shapes)
    write_reference(model, folder / REFERENCE)
    (folder / CONVERTED).write_bytes(convert(model))
    return Converted([tensor.name for tensor in model.inputs], list(model.outputs))


if __name__ == "__main__":
    main()
