"""Keras files and SavedModel folders as bytes, before anything of them is understood."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgefleet_compiler.importers.tensorflow.messages import SOURCE, TensorFlowFormat, source_name
from edgefleet_contract.errors import ModelMalformed, OutputUnwritable

SAVED_MODEL: Final = "saved_model.pb"
_MOST_FILES = 10_000
_MOST_BYTES = 2**31 - 1


@dataclass(frozen=True)
class TensorFlowSource:
    """A source that only TensorFlow understands.

    Attributes:
        format: What it is.
        files: Contents by path; for a Keras file the one file, under the name that it has for the child.
    """

    format: TensorFlowFormat
    files: Mapping[str, bytes]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(len(data) for data in self.files.values())

    @property
    def identity(self) -> bytes:
        r"""The bytes whose SHA-256 names the source: the Keras file, or the list of a SavedModel's files.

        The list is what ``sha256sum`` prints of them in the order of their paths' bytes. In the folder, this command
        gives the same digest::

            find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum
        """
        if self.format != "saved_model":
            return self.files[source_name(self.format)]
        digests = {os.fsencode(name): hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        return b"".join(b"%s  %s\n" % (digests[name].encode(), name) for name in sorted(digests))

    def write_to(self, folder: Path) -> None:
        """Lay the files where the child looks for them.

        Raises:
            OutputUnwritable: There is no room for them.
        """
        root = folder / SOURCE if self.format == "saved_model" else folder
        try:
            for name, data in self.files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        except OSError as cause:
            raise OutputUnwritable(
                f"The model cannot be copied to {str(folder)!r}: {cause.strerror}",
                remedy="Let TMPDIR be a folder with room for it twice over.",
            ) from cause


def keras_file(source_format: TensorFlowFormat, data: bytes) -> TensorFlowSource:
    """A ``.keras`` or ``.h5`` file that was read."""
    return TensorFlowSource(source_format, {source_name(source_format): data})


def read_saved_model(folder: Path) -> TensorFlowSource:
    """All files of a SavedModel.

    Raises:
        ModelMalformed: No SavedModel, or one with links, odd names, too many or too large files.
    """
    if not (folder / SAVED_MODEL).is_file():
        raise ModelMalformed(
            f"{str(folder)!r} is a folder without a {SAVED_MODEL}",
            expected="a model file, or the folder of a SavedModel",
            path=str(folder),
        )
    files: dict[str, bytes] = {}
    room = _MOST_BYTES
    try:
        for path in _files(folder):
            if path.stat().st_size > room:
                raise ModelMalformed(
                    f"The SavedModel {str(folder)!r} is too large", expected=f"at most {_MOST_BYTES} bytes in all"
                )
            data = path.read_bytes()
            room -= len(data)
            files[path.relative_to(folder).as_posix()] = data
    except OSError as cause:
        raise ModelMalformed(f"The SavedModel {str(folder)!r} cannot be read: {cause.strerror}") from cause
    return TensorFlowSource("saved_model", files)


def _files(folder: Path) -> Iterator[Path]:
    for count, path in enumerate(sorted(folder.rglob("*")), start=1):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ModelMalformed(
                f"{str(path)!r} is a link or a device", expected="a SavedModel of plain files", path=str(path)
            )
        if count > _MOST_FILES or any(character in path.name for character in "\\\n\r"):
            raise ModelMalformed(
                f"The folder {str(folder)!r} holds more than {_MOST_FILES} files, or one with an odd name",
                expected="a SavedModel as TensorFlow writes it",
            )
        if path.is_file():
            yield path
