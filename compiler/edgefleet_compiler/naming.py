"""Which file an error is about: a command reads several, and what finds the fault often sees only contents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgefleet_contract.errors import ConversionLimitReached, DataMalformed, ModelCarriesCode, ModelMalformed

_OF_FILES = (ConversionLimitReached, DataMalformed, ModelCarriesCode, ModelMalformed)
_REMEDY = "Check that the file is whole, or make it again."


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors of the block about a model or a data set name its file, unless they do already.

    Args:
        path: The file or folder that the block reads.

    Raises:
        EdgefleetError: One of ``_OF_FILES`` as the block raised it, with the path.
    """
    quoted = repr(str(path))
    try:
        yield
    except _OF_FILES as error:
        if quoted in error.seen:
            raise
        facts = {"path": str(path), **error.facts}
        remedy = error.remedy or ("" if error.expected else _REMEDY)
        raise type(error)(f"{quoted}: {error.seen}", expected=error.expected, remedy=remedy, **facts) from error
