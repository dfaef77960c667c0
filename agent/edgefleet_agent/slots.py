"""The two slots: folders that hold one unpacked bundle each. Which of them count, the state record says."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder, SlotName
from edgefleet_contract import manifest as manifests
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import BundleMalformed, DataFolderMalformed
from edgefleet_contract.manifest import Manifest

_MANIFEST = "manifest.json"


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
            return manifests.decode((self.path(name) / _MANIFEST).read_bytes())
        except (OSError, BundleMalformed) as cause:
            raise DataFolderMalformed(f"The slot {name!r} of {str(self._folder.root)!r} is damaged: {cause}") from cause

    def is_whole(self, name: SlotName, digest: str) -> bool:
        """Whether every byte of the bundle ``digest`` lies in a slot."""
        path = self.path(name)
        try:
            data = (path / _MANIFEST).read_bytes()
            if manifests.digest(data) != digest:
                return False
            return all(_sha256(path / entry.path) == entry.sha256 for entry in manifests.decode(data).files)
        except (OSError, BundleMalformed):
            return False

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
            self._disk.write_new(path / _MANIFEST, [bundle.manifest_bytes])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
