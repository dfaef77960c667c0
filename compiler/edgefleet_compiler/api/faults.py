"""Errors about what was in memory, told without the files that stood for it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgefleet_contract.errors import EdgefleetError


@contextmanager
def told_without_files(place: Path) -> Iterator[None]:
    """Let errors name the argument that was given, where they would name a file.

    Args:
        place: The folder of such files, each named after its argument.
    """
    try:
        yield
    except EdgefleetError as fault:
        files = sorted(place.iterdir(), key=lambda path: len(path.name), reverse=True)
        fault.seen, fault.expected, fault.remedy = (
            _told(text, files) for text in (fault.seen, fault.expected, fault.remedy)
        )
        fault.facts = {
            name: _told(value, files) if isinstance(value, str) else value for name, value in fault.facts.items()
        }
        fault.args = (fault.text(),)
        raise


def _told(text: str, files: list[Path]) -> str:
    for path in files:
        argument = path.stem if path.suffix == ".npz" else "model"
        text = text.replace(repr(str(path)), argument).replace(str(path), argument)
    return text
