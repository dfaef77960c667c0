"""Sealing bundles on the operator's machine, so that only devices that are assigned them can open them.

A bundle's content key is kept in ``$EDGEFLEET_HOME/content``: the same bundle is sealed to the same bytes again, which
is what a second push, after a server was lost or for another signature, must give.
"""

from __future__ import annotations

from pathlib import Path

from edgefleet_contract.bundle import CHUNK, Bundle
from edgefleet_contract.errors import OutputUnwritable
from edgefleet_contract.sealing import files
from edgefleet_server.data_folder import make_private, write_durable


class BundleSealer:
    """Seals bundles.

    Args:
        home: The operator's own folder.
        work: Where sealed files are written for their upload.
    """

    def __init__(self, home: Path, work: Path) -> None:
        self._keys = home / "content"
        self._work = work

    def seal(self, path: Path) -> Path:
        """The bundle at ``path``, sealed.

        Raises:
            OutputUnwritable: The key or the file cannot be written.
        """
        with Bundle(path) as bundle:
            digest = bundle.digest
        target = self._work / f"{digest}.sealed"
        try:
            with path.open("rb") as plain, target.open("wb") as sealed:
                # The digest as salt: a key that is used for two bundles by mistake still shares no key stream.
                files.seal(iter(lambda: plain.read(CHUNK), b""), sealed, self.key(digest), salt=bytes.fromhex(digest))
        except OSError as cause:
            raise OutputUnwritable(f"The sealed bundle cannot be written: {cause.strerror}") from cause
        return target

    def key(self, digest: str) -> bytes:
        """The content key of the bundle ``digest``, made at the first use.

        Raises:
            OSError: It cannot be written.
        """
        path = self._keys / f"{digest}.key"
        if not path.exists():
            make_private(self._keys.parent)
            make_private(self._keys)
            write_durable(path, files.new_key())
        return path.read_bytes()
