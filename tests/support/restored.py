"""A fleet server's inside that was lost, and has come back from a backup."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edgefleet_server.backup.create import create
from edgefleet_server.backup.restore import restore
from support.server_state import Inside

PASSPHRASE = "five words that nobody guesses"


def backed_up(inside: Inside, name: str = "b", passphrase: str | None = PASSPHRASE) -> Path:
    """A backup of ``inside``, with keys if there is a passphrase."""
    create(inside.data.path, inside.folder / name, inside.clock, passphrase=passphrase)
    return inside.folder / name


@contextmanager
def restored(inside: Inside, backup: Path, revocations: Path | None = None) -> Iterator[Inside]:
    """What ``backup`` brings back, beside ``inside`` and at the same time of day."""
    folder = inside.folder / "again"
    folder.mkdir()
    restore(backup, folder / "data", lambda: PASSPHRASE, revocations=revocations, clock=inside.clock)
    shutil.copytree(inside.folder / "home", folder / "home")
    with closing(Inside(folder)) as again:
        again.clock.now = inside.clock.now
        yield again
