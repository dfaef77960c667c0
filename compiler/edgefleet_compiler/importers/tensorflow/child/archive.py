""".keras files: zip archives of three members, read within bounds.

Keras's own reader is never given the archive that came, but one that was made of its inspected members: two readers
can disagree about what a hostile zip holds.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Final

from edgefleet_compiler.importers.tensorflow.child.configuration import (
    MOST_BYTES,
    check_configuration,
    drop_old_arguments,
    parse_configuration,
)
from edgefleet_compiler.importers.tensorflow.child.hdf5 import check_weights
from edgefleet_contract.errors import ModelMalformed

_CONFIGURATION, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_LIMITS: Final = {_METADATA: 1 << 20, _CONFIGURATION: MOST_BYTES, _WEIGHTS: 2**31 - 1}
_FAULTS: Final = (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError, EOFError, ValueError)


def rewrite_archive(path: Path) -> None:
    """Inspect a ``.keras`` file, and put one of its inspected members in its place.

    Raises:
        ModelMalformed: It is no such archive, is damaged, or holds more than it says or may.
        ModelCarriesCode: Making its layers would run code.
        OperatorUnsupported: Custom layers.
    """
    try:
        members = _read(path)
    except _FAULTS as cause:
        raise ModelMalformed(
            f"The file is no .keras archive, or is damaged: {cause}",
            expected="a model as model.save('name.keras') writes it",
            remedy="Fetch it or save it again.",
        ) from cause
    configuration = parse_configuration(members[_CONFIGURATION])
    check_configuration(configuration)
    drop_old_arguments(configuration)
    weights = path.with_name(_WEIGHTS)
    weights.write_bytes(members[_WEIGHTS])
    check_weights(weights)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_METADATA, members[_METADATA])
        archive.writestr(_CONFIGURATION, json.dumps(configuration))
        archive.write(weights, _WEIGHTS)
    weights.unlink()


def _read(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        entries = [info for info in archive.infolist() if not info.is_dir()]
        if sorted(info.filename for info in entries) != sorted(_LIMITS):
            names = [info.filename for info in entries[:5]]
            raise ModelMalformed(
                f"The .keras archive holds {len(entries)} files: {', '.join(map(repr, names))}",
                expected=f"{', '.join(sorted(_LIMITS))}, each once",
            )
        return {info.filename: _member(archive, info) for info in entries}


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    limit = _LIMITS[info.filename]
    if info.file_size > limit:
        raise ModelMalformed(
            f"{info.filename!r} in the .keras archive unpacks to {info.file_size} bytes", expected=f"at most {limit}"
        )
    with archive.open(info) as member:
        return member.read(limit)  # zipfile stops at the size that the archive declares
