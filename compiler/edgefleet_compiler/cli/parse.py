"""Texts of the command line as the values they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgefleet_contract.errors import DataMalformed, UsageMalformed
from edgefleet_hardware import units

if TYPE_CHECKING:
    from edgefleet_compiler.data import Normalisation

_LABELS_LIMIT = 1 << 20  # bytes


def size(option: str, text: str | None) -> int | None:
    """A size in bytes, such as ``64KiB``.

    Raises:
        UsageMalformed: No size.
    """
    if text is None:
        return None
    try:
        return units.parse_bytes(text)
    except ValueError as cause:
        raise UsageMalformed(f"{option}: {cause}", expected="a size such as 64KiB") from cause


def duration(option: str, text: str | None) -> float | None:
    """A duration in seconds, such as ``20ms``.

    Raises:
        UsageMalformed: No duration.
    """
    if text is None:
        return None
    try:
        return units.parse_seconds(text)
    except ValueError as cause:
        raise UsageMalformed(f"{option}: {cause}", expected="a duration such as 20ms") from cause


def folder(option: str, text: str) -> Path:
    """A folder, which must be named: nothing at all would be the working folder.

    Raises:
        UsageMalformed: The text is empty.
    """
    if not text:
        raise UsageMalformed(f"{option} is empty", expected="a folder", remedy="The working folder is called '.'.")
    return Path(text)


def input_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes by input, each written ``NAME=1,224,224,3``.

    Raises:
        UsageMalformed: Another form, or a length that is not positive.
    """
    shapes = {}
    for text in texts:
        name, _, lengths = text.rpartition("=")
        numbers = lengths.split(",")
        if not name or not all(number.strip().isdecimal() and int(number) > 0 for number in numbers):
            raise UsageMalformed(f"--input-shape is {text!r}", expected="NAME=1,224,224,3")
        shapes[name] = tuple(int(number) for number in numbers)
    return shapes


def normalisation(mean: str | None, std: str | None) -> Normalisation | None:
    """What is done to raw pixels; None if neither option was given.

    Raises:
        UsageMalformed: No numbers.
    """
    if mean is None and std is None:
        return None
    from edgefleet_compiler.data import Normalisation  # noqa: PLC0415 - loads numpy, which `--help` does without

    return Normalisation(_numbers("--mean", mean or "0"), _numbers("--std", std or "1"))


def labels(path: Path | None) -> tuple[str, ...]:
    """The names of the classes, one a line.

    Raises:
        DataMalformed: The file cannot be read, is no text, or has an empty or repeated line.
    """
    if path is None:
        return ()
    try:
        with path.open("rb") as file:
            names = file.read(_LABELS_LIMIT).decode().splitlines()
    except (OSError, UnicodeDecodeError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else "it is no text in UTF-8"
        raise DataMalformed(f"The labels {str(path)!r} cannot be read: {reason}", expected="one name a line") from cause
    stripped = [name.strip() for name in names]
    if not stripped or "" in stripped or len(set(stripped)) < len(stripped):
        raise DataMalformed(f"The labels {str(path)!r} have an empty or repeated line", expected="one name a line")
    return tuple(stripped)


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError as cause:
        raise UsageMalformed(f"{option} is {text!r}", expected="a number, or one for each channel: 1,2,3") from cause
