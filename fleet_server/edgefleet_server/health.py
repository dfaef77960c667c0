"""Is this server well? Asked by whoever watches it, without a token."""

from __future__ import annotations

import logging
import threading

from edgefleet_contract.errors import ServerDiskFailed
from edgefleet_server.clock import SECOND
from edgefleet_server.core import Core

_log = logging.getLogger(__name__)
_BELIEVED_FOR = SECOND  # milliseconds: anybody may ask, and the disk has other work


class DiskProbe:
    """Whether the database and the folder of files take what is written."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._written_at = -_BELIEVED_FOR

    def works(self) -> bool:
        """Write a little to both, unless that has just been done."""
        with self._lock:
            now = self._core.clock()
            if 0 <= now - self._written_at < _BELIEVED_FOR:
                return True
            try:
                self._core.database.probe()
                self._core.blobs.probe()
            except ServerDiskFailed as error:
                _log.error("health: %s", error.text())
                return False
            self._written_at = now
            return True
