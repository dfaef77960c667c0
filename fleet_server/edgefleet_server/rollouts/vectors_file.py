"""A file of rollout vectors is looked at before it judges anything.

Vectors without labels judge nothing, and vectors that devices cannot read, or that do not fit the model, would fail
every device. What devices take of the arrays is the contract's rule; here the file is read as far as that needs it:
every byte for its checksum, yet of each array only the header (numpy's format: NEP 1). So no numpy is needed, nothing
is unpickled, and nothing large is held.
"""

from __future__ import annotations

import ast
import math
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from edgefleet_contract import cases
from edgefleet_contract.cases import ArrayForm
from edgefleet_contract.errors import DataMalformed, DataNotFound
from edgefleet_contract.manifest import Manifest
from edgefleet_server.rollouts.evidence import CASES_LIMIT

UNPACKED_LIMIT = 256 * 1024 * 1024  # bytes of all arrays: devices hold them in memory
_MAGIC = b"\x93NUMPY"
_HEADER_LIMIT = 10_000  # bytes, as numpy's own
_CHUNK = 1 << 20  # bytes read at a time
_WIDTHS = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}  # bytes of a number, by its kind
_TEXTS = {"S": 1, "U": 4}  # bytes of a letter: captions may lie beside the cases
_EXPECTED = "an .npz with the cases (x, or one array an input) and whole numbers as labels y, one a case"


def check_labelled(path: Path, called: str = "The vectors") -> int:
    """The number of labels in a file of rollout vectors, for whom does not know the model.

    Args:
        path: Of the file.
        called: How an error names it.

    Raises:
        DataNotFound: There is no such file.
        DataMalformed: Devices could not read it, or it has no labels, or no cases.
    """
    return _count_labels(_forms(path, called), called)


def check_fitting(path: Path, manifests: Sequence[Manifest], called: str = "The vectors") -> int:
    """The number of cases of a file of rollout vectors by which every one of these bundles can be judged.

    Raises:
        DataNotFound, DataMalformed: As :func:`check_labelled`; or a bundle does not take its arrays.
    """
    forms = _forms(path, called)
    count = _count_labels(forms, called)
    for manifest in manifests:
        bundle = f"{manifest.name}@{manifest.version} for {manifest.target}"
        try:
            names = cases.inputs_among(manifest.inputs, forms)
            cases.has_labels(forms, forms[names[0]].shape[0])
        except DataMalformed as cause:
            raise DataMalformed(
                f"{called} do not fit {bundle}: {cause.seen}", expected=cause.expected, bundle=bundle
            ) from cause
    return count


def _count_labels(forms: Mapping[str, ArrayForm], called: str) -> int:
    labels = forms.get(cases.LABELS)
    if labels is None:
        raise DataMalformed(f"{called} have no labels", expected=_EXPECTED)
    count = math.prod(labels.shape)
    if not cases.has_labels(forms, count):
        raise DataMalformed(f"{called} have labels of the element kind {labels.kind!r}", expected=_EXPECTED)
    if len(forms) == 1:
        raise DataMalformed(f"{called} have no cases", expected=_EXPECTED)
    if not 0 < count <= CASES_LIMIT:
        raise DataMalformed(f"{called} have {count} labels", expected=f"1 to {CASES_LIMIT}")
    return count


def _forms(path: Path, called: str) -> dict[str, ArrayForm]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = _bounded(archive.infolist())
            forms = {member.filename.removesuffix(".npy"): _form_in(archive, member) for member in members}
    except FileNotFoundError as cause:
        raise DataNotFound(f"{called} are not there: no such file") from cause
    except Exception as cause:  # zipfile, zlib, lzma and ast each raise their own on bytes that are none of theirs
        raise DataMalformed(f"{called} cannot be read: {cause}", expected=_EXPECTED) from cause
    return {name: form for name, form in forms.items() if form is not None}


def _bounded(members: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    unpacked = sum(member.file_size for member in members)
    if unpacked > UNPACKED_LIMIT:
        raise ValueError(f"unpacked they have {unpacked} bytes, more than {UNPACKED_LIMIT}")
    return members


def _form_in(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> ArrayForm | None:
    with archive.open(member) as file:
        return _form(file)


def _form(file: IO[bytes]) -> ArrayForm | None:
    """Kind and shape of one member, every byte of which is read; None when it is no array, which devices skip.

    Raises:
        ValueError: It begins as an array, and is none that numpy reads without unpickling.
    """
    start = file.read(8)
    form, size = None, 0
    if start.startswith(_MAGIC):
        form, size = _header(start, file)
    rest = 0
    while chunk := file.read(_CHUNK):
        rest += len(chunk)
    if rest < size:
        raise ValueError(f"an array of {size} bytes has only {rest}")
    return form


def _header(start: bytes, file: IO[bytes]) -> tuple[ArrayForm, int]:
    """The form of an array and the bytes of its elements."""
    field = "<H" if start[6] == 1 else "<I"  # version 1 has a shorter length field
    (length,) = struct.unpack(field, file.read(struct.calcsize(field)))
    if length > _HEADER_LIMIT:
        raise ValueError(f"an array has a header of {length} bytes")
    header = ast.literal_eval(file.read(length).decode("latin-1"))
    element, shape = header["descr"], tuple(int(extent) for extent in header["shape"])
    kind, width = element[1], int(element[2:])
    if kind in _TEXTS:
        width *= _TEXTS[kind]
    elif width not in _WIDTHS.get(kind, ()):
        raise ValueError(f"an array has elements {element!r}")
    return ArrayForm(kind, shape), width * math.prod(shape)
