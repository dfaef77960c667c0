"""What the compiler and the TensorFlow child say to each other, as JSON; the models lie in files between them."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

TensorFlowFormat = Literal["keras", "h5", "saved_model"]

# Files in the folder that both share.
SOURCE: Final = "source"
CONVERTED: Final = "converted.tflite"
REFERENCE: Final = "reference.npz"
ANSWER: Final = "answer.json"
LOG: Final = "log.txt"


class Question(msgspec.Struct, frozen=True):
    """What the child is to do.

    Attributes:
        format: Of the source.
        folder: What the two share; the source is the file or folder ``SOURCE`` in it.
        input_shapes: Shapes of inputs that the source leaves open, by name.
        memory_bytes: Address space that it may take.
        seconds: When it is to end by itself if nobody ended it: its caller may have been killed.
    """

    format: TensorFlowFormat
    folder: str
    input_shapes: dict[str, tuple[int, ...]]
    memory_bytes: int
    seconds: int


class Converted(msgspec.Struct, frozen=True, tag="converted"):
    """The folder now holds ``CONVERTED`` and ``REFERENCE``.

    Attributes:
        inputs: Names, in the order of the source; ``input/0`` in ``REFERENCE`` holds the cases of the first.
        outputs: Names, as above.
    """

    inputs: list[str]
    outputs: list[str]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The source cannot be taken; ``error`` is as ``EdgefleetError.as_json`` writes it."""

    error: dict[str, object]


class OutOfMemory(msgspec.Struct, frozen=True, tag="out_of_memory"):
    """The limit was reached."""


Answer = Converted | Refused | OutOfMemory


def source_name(source_format: TensorFlowFormat) -> str:
    """The name of the source in the shared folder: Keras goes by suffixes."""
    return SOURCE if source_format == "saved_model" else f"{SOURCE}.{source_format}"
