"""The output folder: one folder a target, written beside its place and moved there whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgefleet_contract.errors import OutputUnwritable

MARK = "report.json"  # every folder of ours has one


def check_output(out: Path, targets: list[str]) -> None:
    """Refuse early what cannot be written to; makes the folder if it is not there.

    Args:
        out: The output folder.
        targets: Names of the folders that will be written in it.

    Raises:
        OutputUnwritable: A file stands where a folder must be, a folder with other files where one would be replaced,
            or the folder cannot be made or written.
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
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise _unwritable(out, cause) from cause
    if not os.access(out, os.W_OK | os.X_OK):
        raise OutputUnwritable(f"The output folder {str(out)!r} is not writable", path=str(out))


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of ``folder`` when the block ends without an error.

    Raises:
        OutputUnwritable: It cannot be written or moved.
    """
    try:
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as cause:
        raise _unwritable(folder.parent, cause) from cause
    try:
        yield fresh
        fresh.chmod(0o755)
        _swap(fresh, folder)
    except OSError as cause:
        raise _unwritable(folder, cause) from cause
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, folder: Path) -> None:
    """Put ``fresh`` in the place of ``folder``; a folder that is not empty cannot be renamed over."""
    if not folder.exists():
        fresh.rename(folder)
        return
    former = fresh.with_name(fresh.name + ".former")
    folder.rename(former)
    fresh.rename(folder)
    shutil.rmtree(former, ignore_errors=True)


def _unwritable(path: Path, cause: OSError) -> OutputUnwritable:
    return OutputUnwritable(f"{str(path)!r} cannot be written: {cause.strerror}", path=str(path))
