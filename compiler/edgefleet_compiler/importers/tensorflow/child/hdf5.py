"""HDF5 files of Keras: inspected so that loading one neither leaves the file nor asks for more than it holds.

The HDF5 format lets a file name other files (external links, external storage, virtual datasets), link in circles, and
declare datasets of any size in a few bytes (chunks that are not stored).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import h5py

from edgefleet_compiler.importers.tensorflow.child.configuration import (
    check_configuration,
    drop_old_arguments,
    parse_configuration,
)
from edgefleet_contract.errors import ModelMalformed

_CONFIGURATION: Final = "model_config"
_MOST_OBJECTS: Final = 100_000
_MOST_BYTES: Final = 2**31 - 1
_FAULTS: Final = (OSError, RuntimeError, ValueError, KeyError, TypeError)
"""What h5py raises over a damaged file; it has no class of its own."""


def rewrite_model(path: Path) -> None:
    """Inspect a whole model in Keras's older format, and write its configuration back in the form of Keras 3.

    Raises:
        ModelMalformed: The file is damaged, holds no architecture, or reaches beyond itself.
        ModelCarriesCode: Making its layers would run code.
        OperatorUnsupported: Custom layers.
    """
    try:
        with h5py.File(path, "r+") as file:
            _check(file)
            text = file.attrs.get(_CONFIGURATION)
            if text is None:
                raise ModelMalformed(
                    "The file holds weights without an architecture",
                    expected="a whole model, as model.save() writes it; not only weights",
                    remedy="Build the model, load the weights, and save it whole.",
                )
            configuration = parse_configuration(text if isinstance(text, str | bytes) else str(text))
            check_configuration(configuration)
            drop_old_arguments(configuration)
            file.attrs[_CONFIGURATION] = json.dumps(configuration)
    except _FAULTS as cause:
        raise _damaged(cause) from cause


def check_weights(path: Path) -> None:
    """Inspect a file of weights.

    Raises:
        ModelMalformed: It is damaged, or reaches beyond itself.
    """
    try:
        with h5py.File(path, "r") as file:
            _check(file)
    except _FAULTS as cause:
        raise _damaged(cause) from cause


def _damaged(cause: Exception) -> ModelMalformed:
    return ModelMalformed(
        f"The HDF5 file cannot be read: {cause}",
        expected="a model that Keras saved",
        remedy="Fetch it or save it again.",
    )


def _check(file: Any) -> None:
    """Walk over everything in the file without following a link out of it."""
    seen: set[int] = set()
    room = _MOST_BYTES
    waiting: list[Any] = [file]
    while waiting:
        group = waiting.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise _reaches_out(f"{name!r} in {group.name!r} is {type(link).__name__}")
            entry = group[name]
            address = h5py.h5o.get_info(entry.id).addr
            if address in seen:
                raise _reaches_out(f"{name!r} in {group.name!r} is linked twice")
            seen.add(address)
            if isinstance(entry, h5py.Group):
                waiting.append(entry)
            elif isinstance(entry, h5py.Dataset):
                room -= _size(entry)
            if len(seen) > _MOST_OBJECTS or room < 0:
                raise ModelMalformed(
                    f"The HDF5 file declares more than {_MOST_OBJECTS} objects or {_MOST_BYTES} bytes",
                    expected="the weights of one model",
                )


def _size(dataset: Any) -> int:
    if dataset.external or dataset.is_virtual:
        raise _reaches_out(f"{dataset.name!r} keeps its data in other files")
    return int(dataset.nbytes)


def _reaches_out(seen: str) -> ModelMalformed:
    return ModelMalformed(f"{seen}, which Keras does not write", expected="a file that holds all of the model itself")
