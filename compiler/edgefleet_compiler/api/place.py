"""A folder that lives as long as somebody holds on to it."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path


class Place:
    """A new folder, removed with the last reference to this, or at the end of the process.

    ``tempfile.TemporaryDirectory`` does the same and warns of it, as it wants to be closed by hand.

    Attributes:
        folder: The folder.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgefleet-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
