"""Content keys of private bundles: files of their own, for a thief of the database or of the blobs must not have them.

A server needs them to wrap them for devices, and to read a bundle's manifest, reference and vectors. It opens a
private bundle piece by piece in memory, and never writes the opened bundle.
"""

from __future__ import annotations

import logging
from pathlib import Path

from edgefleet_contract import keys
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import Conflict, ContentKeyMissing
from edgefleet_contract.sealing.content import wrap_content_key
from edgefleet_contract.sealing.files import open_sealed
from edgefleet_contract.sealing.wrapping import WrappedKey
from edgefleet_server.data_folder import make_private, write_durable
from edgefleet_server.devices.models import Device
from edgefleet_server.releases.blobs import BlobStore
from edgefleet_server.releases.models import ReleasedBundle

_log = logging.getLogger(__name__)


class ContentKeys:
    """The content keys of a server.

    Args:
        folder: Where they lie, each named by the SHA-256 of the sealed file.
        blobs: The sealed files.
    """

    def __init__(self, folder: Path, blobs: BlobStore) -> None:
        make_private(folder)
        self._folder = folder
        self._blobs = blobs

    def put(self, sha256: str, key: bytes) -> bool:
        """Keep the key of a sealed file that has been uploaded; returns whether it is new.

        Raises:
            ServerDiskFailed: The file is not there.
            SealBroken: The key does not open it.
            Conflict: It has another key, which cannot be if both open it.
        """
        open_sealed(self._blobs.file(sha256), key).close()
        path = self._folder / sha256
        if path.exists():
            if path.read_bytes() != key:
                raise Conflict(f"The sealed file {sha256} has another content key already")
            return False
        write_durable(path, key)
        return True

    def open(self, sha256: str, *, private: bool) -> Bundle:
        """An uploaded bundle, for reading.

        Raises:
            ContentKeyMissing: It is private, and its key is not here.
            ServerDiskFailed: The file is gone.
            SealBroken, BundleMalformed, BundleDamaged: As :class:`Bundle`.
        """
        return Bundle(self._blobs.file(sha256), self._key(sha256) if private else None)

    def wrapped_for(self, device: Device, bundle: ReleasedBundle) -> WrappedKey | None:
        """The key of a private bundle for one device; None where the bundle is not private.

        Where the key is lost, there is none either: the device says so, its rollout halts, and others go on.
        """
        if not bundle.private:
            return None
        try:
            key = self._key(bundle.sha256)
        except ContentKeyMissing as error:
            _log.error("device=%s is assigned a bundle that it cannot open: %s", device.id, error.text())
            return None
        return wrap_content_key(key, keys.recipient_from_text(device.public_key), bundle.digest)

    def _key(self, sha256: str) -> bytes:
        try:
            return (self._folder / sha256).read_bytes()
        except OSError as cause:
            raise ContentKeyMissing(
                f"The content key of the private bundle {sha256} is not on this server: {cause.strerror}",
                remedy="Push its release again from the machine that pushed it first.",
                sha256=sha256,
            ) from cause
