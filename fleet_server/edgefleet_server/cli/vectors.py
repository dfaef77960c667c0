"""What an operator hands over as rollout vectors is looked at before it judges anything.

Vectors without labels judge nothing, and vectors that devices cannot read would hold a rollout for ever. Only the
headers of the arrays are read (numpy's format: NEP 1), so that this needs no numpy and nothing is unpickled.
"""

from __future__ import annotations

import ast
import struct
import zipfile
from pathlib import Path

from edgefleet_contract.errors import DataMalformed

_MAGIC = b"\x93NUMPY"
_HEADER_LIMIT = 4096  # bytes; headers of plain arrays have about a hundred
_EXPECTED = "an .npz with the cases (x, or one array an input) and integer labels y, one a case"


def check_vectors(path: Path) -> int:
    """The number of cases in a file of rollout vectors.

    Raises:
        DataMalformed: It is no ``.npz``, has no labels, or its arrays do not have one entry a case.
    """
    arrays = _headers(path)
    labels = arrays.pop("y", None)
    if labels is None:
        raise DataMalformed(f"The vectors {str(path)!r} have no labels", expected=_EXPECTED)
    if not arrays:
        raise DataMalformed(f"The vectors {str(path)!r} have no cases", expected=_EXPECTED)
    kind, shape = labels
    if kind not in "iu" or len(shape) != 1 or not shape[0]:
        raise DataMalformed(
            f"The labels 'y' of {str(path)!r} have the element kind {kind!r} and the shape {shape}", expected=_EXPECTED
        )
    for name, (kind, other) in arrays.items():
        if kind not in "fiub" or other[:1] != shape:
            raise DataMalformed(
                f"The array {name!r} of {str(path)!r} has the element kind {kind!r} and the shape {other}",
                expected=f"numbers, {shape[0]} cases as there are labels",
            )
    return shape[0]


def _headers(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Element kind (numpy's letter) and shape of each array."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removesuffix(".npy"): _header(archive.open(name).read(_HEADER_LIMIT))
                for name in archive.namelist()
            }
    except (OSError, zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, LookupError, struct.error) as cause:
        raise DataMalformed(f"The vectors {str(path)!r} cannot be read", expected=_EXPECTED) from cause


def _header(start: bytes) -> tuple[str, tuple[int, ...]]:
    """The header of one ``.npy``.

    Raises:
        ValueError: It is none.
    """
    if not start.startswith(_MAGIC):
        raise ValueError("no .npy")
    form, begin = ("<H", 10) if start[6] == 1 else ("<I", 12)  # version 1 has a shorter length field
    (length,) = struct.unpack_from(form, start, 8)
    try:
        header = ast.literal_eval(start[begin : begin + length].decode("latin-1"))
        kind, shape = str(header["descr"])[1:2], tuple(int(size) for size in header["shape"])
    except (SyntaxError, TypeError, RecursionError, MemoryError) as cause:
        raise ValueError("no .npy header") from cause
    return kind, shape
