"""The two slots: folders that hold one bundle each, unpacked. Which of them count, the state record says.

A private bundle stays sealed: its slot holds the manifest, the file as it came, and its content key wrapped to this
device's key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder, SlotName
from edgefleet_contract import canonical
from edgefleet_contract import manifest as manifests
from edgefleet_contract.bundle import CHUNK, Bundle
from edgefleet_contract.errors import BundleMalformed, DataFolderMalformed
from edgefleet_contract.manifest import Manifest
from edgefleet_contract.sealing.wrapping import WrappedKey

MANIFEST = "manifest.json"
SEALED = "bundle.sealed"
_SEAL = "seal.json"
_SEAL_LIMIT = 4096  # bytes


class Seal(msgspec.Struct, frozen=True):
    """What opens the sealed bundle of a slot, and shows that it is whole.

    Attributes:
        sha256: Of the sealed file.
        content_key: Wrapped to this device.
    """

    sha256: str
    content_key: WrappedKey


class Slots:
    """Reads and fills slots.

    Args:
        folder: The agent's data folder.
        disk: The door.
    """

    def __init__(self, folder: DataFolder, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk

    def path(self, name: SlotName) -> Path:
        """The folder of a slot."""
        return self._folder.slot(name)

    def manifest(self, name: SlotName) -> Manifest:
        """The manifest of the bundle in a slot.

        Raises:
            DataFolderMalformed: The slot holds none.
        """
        try:
            return manifests.decode((self.path(name) / MANIFEST).read_bytes())
        except (OSError, BundleMalformed) as cause:
            raise DataFolderMalformed(f"The slot {name!r} of {str(self._folder.root)!r} is damaged: {cause}") from cause

    def digest(self, name: SlotName) -> str:
        """The identity of the bundle in a slot, as its manifest has it; errors as :meth:`manifest`."""
        try:
            return manifests.digest((self.path(name) / MANIFEST).read_bytes())
        except OSError as cause:
            raise DataFolderMalformed(f"The slot {name!r} of {str(self._folder.root)!r} is damaged: {cause}") from cause

    def is_whole(self, name: SlotName, digest: str) -> bool:
        """Whether every byte of the bundle ``digest`` lies in a slot."""
        path = self.path(name)
        try:
            data = (path / MANIFEST).read_bytes()
            if manifests.digest(data) != digest:
                return False
            seal = self.seal(name)
            if seal is not None:
                return _sha256(path / SEALED) == seal.sha256
            return all(_sha256(path / entry.path) == entry.sha256 for entry in manifests.decode(data).files)
        except (OSError, BundleMalformed, DataFolderMalformed):
            return False

    def seal(self, name: SlotName) -> Seal | None:
        """What opens the slot's bundle; None where it is not private.

        Raises:
            DataFolderMalformed: It cannot be read.
        """
        path = self.path(name) / _SEAL
        if not path.is_file():
            return None
        return canonical.decode(
            path.read_bytes(), Seal, what="seal of a slot", limit=_SEAL_LIMIT, error=DataFolderMalformed
        )

    def fill(self, name: SlotName, bundle_file: Path) -> None:
        """Unpack a verified bundle into a slot, over whatever is there.

        Raises:
            DiskFailed: It does not fit; the slot is then worth nothing.
            HashMismatch: The file is no longer the one that was verified.
        """
        path = self.path(name)
        self._disk.remove(path)
        with Bundle(bundle_file) as bundle:
            for entry in bundle.manifest.files:
                target = path / entry.path
                if not target.parent.is_dir():
                    self._disk.make_folder(target.parent)
                self._disk.write_new(target, bundle.chunks(entry.path))
            self._disk.write_new(path / MANIFEST, [bundle.manifest_bytes])

    def fill_sealed(self, name: SlotName, bundle_file: Path, seal: Seal, key: bytes) -> None:
        """Put a verified private bundle into a slot as it came, over whatever is there.

        Args:
            name: Of the slot.
            bundle_file: Sealed.
            seal: Of the file.
            key: Opens it, for its manifest.

        Raises:
            DiskFailed: It does not fit; the slot is then worth nothing.
            SealBroken: The file is no longer the one that was verified.
        """
        path = self.path(name)
        self._disk.remove(path)
        self._disk.make_folder(path)
        with Bundle(bundle_file, key) as bundle:
            manifest = bundle.manifest_bytes
        self.keep_seal(name, seal)
        self._disk.write_new(path / SEALED, _chunks(bundle_file))
        self._disk.write_new(path / MANIFEST, [manifest])

    def keep_seal(self, name: SlotName, seal: Seal) -> None:
        """Replace what opens the slot's bundle.

        Raises:
            DiskFailed: It cannot be written.
        """
        self._disk.write(self.path(name) / _SEAL, canonical.encode(seal))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
