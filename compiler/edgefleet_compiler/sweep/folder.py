"""The folder of a sweep: what was asked, every candidate as soon as it is known, and in the end the front.

Whatever moment the power goes at, a file is there whole or not at all.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edgefleet_compiler.durable import fresh_of, replace_file, sync_folder, write_file, writing
from edgefleet_compiler.sweep.asked import Asked, differences
from edgefleet_compiler.sweep.record import Candidate, Evaluation, Idea
from edgefleet_contract.errors import DataFolderInUse, OutputUnwritable, SweepFolderUnfit

ASKED = "sweep.json"
RECIPE = "recipe.toml"
_CANDIDATES = "candidates"
_RESULT = "result.json"


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``result.json``."""

    idea: Idea
    evaluation: Evaluation


class SweepFolder:
    """A folder that one sweep works in; see ``sweep_folder``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def known(self, number: int, idea: Idea) -> Candidate | None:
        """What an earlier start found out of a candidate; None where it did not, or where its process failed."""
        folder = self._place(number)
        try:
            kept = msgspec.json.decode((folder / _RESULT).read_bytes(), type=_Kept)
            measured = kept.evaluation.outcome == "measured"
            recipe = (folder / RECIPE).read_text(encoding="utf-8") if measured else ""
        except (OSError, ValueError):
            return None
        if kept.idea != idea or kept.evaluation.outcome == "failed":
            return None
        evaluation = msgspec.structs.replace(kept.evaluation, recipe=recipe)
        return Candidate(number=number, idea=idea, evaluation=evaluation)

    def keep(self, candidate: Candidate) -> None:
        """Write a candidate.

        Raises:
            OutputUnwritable: The disk does not take it.
        """
        place, evaluation = self._place(candidate.number), candidate.evaluation
        kept = _Kept(candidate.idea, msgspec.structs.replace(evaluation, recipe=""))
        with writing(place):
            place.parent.mkdir(exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
            try:
                if evaluation.recipe:
                    write_file(fresh / RECIPE, evaluation.recipe.encode())
                write_file(fresh / _RESULT, msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")
                fresh.chmod(0o755)
                shutil.rmtree(place, ignore_errors=True)
                fresh.rename(place)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)  # of what was interrupted; else it has its name by now
            sync_folder(place.parent)

    def write(self, name: str, content: bytes) -> None:
        """Write a file of the sweep, in the place of one of that name.

        Raises:
            OutputUnwritable: The disk does not take it.
        """
        with writing(self.path / name):
            replace_file(self.path / name, content)

    def _place(self, number: int) -> Path:
        return self.path / _CANDIDATES / f"{number:03}"


@contextmanager
def sweep_folder(path: Path, asked: Asked) -> Iterator[SweepFolder]:
    """Open the folder of a sweep, or make it; nobody else works in it as long as the block runs.

    Raises:
        SweepFolderUnfit: Another request wrote it, or it holds other files; nothing of it is touched.
        DataFolderInUse: Another sweep is at work in it.
        OutputUnwritable: It cannot be made or written.
    """
    earlier = _asked_before(path)
    if earlier is not None and earlier != asked:
        raise SweepFolderUnfit(
            f"The folder {str(path)!r} holds another sweep: {differences(earlier, asked)}",
            expected="the request that the sweep began with, a new folder or an empty one",
            remedy="Give another --out.",
            path=str(path),
        )
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        folder = SweepFolder(path)
        for left in (path / _CANDIDATES).glob(".*"):
            shutil.rmtree(left, ignore_errors=True)
        if earlier is None:
            folder.write(ASKED, msgspec.json.format(msgspec.json.encode(asked), indent=2) + b"\n")
        yield folder


def _asked_before(path: Path) -> Asked | None:
    """What the sweep of a folder began with; None for a folder without files, and for none at all."""
    try:
        names = {entry.name for entry in path.iterdir()} if path.exists() else set()
        if not names - {fresh_of(path / ASKED).name}:
            return None
        return msgspec.json.decode((path / ASKED).read_bytes(), type=Asked)
    except NotADirectoryError as cause:
        raise OutputUnwritable(f"{str(path)!r} is a file", expected="a folder, or nothing yet") from cause
    except (OSError, ValueError) as cause:
        raise SweepFolderUnfit(
            f"The folder {str(path)!r} holds files, and no {ASKED} that can be read",
            expected="the folder of a sweep, an empty one, or nothing yet",
            path=str(path),
        ) from cause


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            raise DataFolderInUse(f"Another sweep is at work in {str(path)!r}", path=str(path)) from cause
        yield
    finally:
        os.close(descriptor)
