"""The operator's own copy of what was signed: a server cannot give him old metadata to build on."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgefleet_contract import canonical
from edgefleet_contract.errors import InputError, OutputUnwritable
from edgefleet_server.data_folder import make_private, write_durable
from edgefleet_server.trust.repository import Repository

_LIMIT = 64 << 20  # bytes


class _Kept(msgspec.Struct, frozen=True):
    v: int
    files: dict[str, str]


class OwnCopy:
    """The copy in one folder, as ``metadata.json``: replaced whole, so that it is never half old and half new.

    Args:
        folder: The operator's own.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "metadata.json"

    def load(self) -> Repository:
        """What is kept, verified from the first root on; an empty repository before the first time.

        Raises:
            InputError: The file cannot be read.
            VerificationError: Somebody has changed it.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return Repository()
        except OSError as cause:
            raise InputError(f"The file {str(self._path)!r} cannot be read: {cause.strerror}") from cause
        kept = canonical.decode(content, _Kept, what="copy of the metadata", limit=_LIMIT, error=InputError)
        return Repository().grown({name: text.encode() for name, text in kept.files.items()})

    def save(self, repository: Repository) -> None:
        """Keep ``repository`` instead.

        Raises:
            OutputUnwritable: The folder cannot be written.
        """
        kept = _Kept(1, {name: data.decode() for name, data in repository.files().items()})
        try:
            make_private(self._path.parent)
            write_durable(self._path, canonical.encode(kept))
        except OSError as cause:
            raise OutputUnwritable(
                f"The copy of the metadata cannot be written to {str(self._path)!r}: {cause.strerror}",
                remedy="Set EDGEFLEET_HOME to a folder of yours.",
            ) from cause
