"""The output folder: one folder a target, written beside its place and moved there whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgefleet_compiler.durable import writing
from edgefleet_contract.errors import OutputUnwritable

MARK = "report.json"  # every folder of ours has one


def check_output(out: Path, targets: list[str]) -> None:
    """Refuse early what cannot be written to; nothing is made or changed yet.

    Args:
        out: The output folder.
        targets: Names of the folders that will be written in it.

    Raises:
        OutputUnwritable: A file stands where a folder must be, a folder with other files where one would be replaced,
            or a folder in which nothing can be written.
    """
    for folder in (out, *(out / target for target in targets)):
        if folder.exists() and not folder.is_dir():
            raise OutputUnwritable(f"{str(folder)!r} is a file", expected="a folder, or nothing yet", path=str(folder))
    for folder in (out / target for target in targets):
        if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists():
            raise OutputUnwritable(
                f"{str(folder)!r} holds files that no compilation wrote, and would be replaced",
                expected="an empty folder, one of an earlier compilation, or nothing yet",
                path=str(folder),
            )
    nearest = next(folder for folder in (out.absolute(), *out.absolute().parents) if os.path.lexists(folder))
    if not nearest.is_dir():
        raise OutputUnwritable(f"{str(nearest)!r} is no folder", expected="one to write in", path=str(nearest))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputUnwritable(f"The folder {str(nearest)!r} is not writable", path=str(nearest))


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of ``folder`` when the block ends without an error.

    Folders above it are made as needed, and are gone again if the block fails.

    Raises:
        OutputUnwritable: It cannot be written or moved.
    """
    missing = [parent for parent in folder.parents if not parent.exists()]
    with writing(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with writing(folder):
            yield fresh
            fresh.chmod(0o755)
            _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        if not folder.exists():
            _remove_empty(missing)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders that hold nothing, the innermost first."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _swap(fresh: Path, folder: Path) -> None:
    """Put ``fresh`` in the place of ``folder``; a folder that is not empty cannot be renamed over."""
    if not folder.exists():
        fresh.rename(folder)
        return
    former = fresh.with_name(fresh.name + ".former")
    folder.rename(former)
    fresh.rename(folder)
    shutil.rmtree(former, ignore_errors=True)
