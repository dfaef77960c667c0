"""The files of a slot: unpacked in a folder, or within the sealed file of a private bundle."""

from __future__ import annotations

from pathlib import Path

from edgefleet_agent.slots import MANIFEST, SEALED
from edgefleet_contract import manifest as manifests
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.manifest import Manifest


class Contents:
    """Reads what a slot holds.

    Args:
        slot: Its folder.
        key: Content key of a private bundle, which is opened into this process's memory and nowhere else.

    Attributes:
        manifest: Of the bundle.

    Raises:
        SealBroken: The key is another, or the file was changed.
    """

    def __init__(self, slot: Path, key: bytes | None) -> None:
        self._slot = slot
        self._bundle = None if key is None else Bundle(slot / SEALED, key)
        self.manifest: Manifest = (
            self._bundle.manifest if self._bundle else manifests.decode((slot / MANIFEST).read_bytes())
        )

    def file(self, path: str) -> Path | bytes:
        """Where a file lies; of a private bundle, what is in it.

        Raises:
            SealBroken, HashMismatch: It was changed.
        """
        return self._bundle.read(path) if self._bundle else self._slot / path

    def read(self, path: str) -> bytes:
        """What is in a file; errors as :meth:`file`."""
        found = self.file(path)
        return found if isinstance(found, bytes) else found.read_bytes()
