"""The folder of a run: every file in it is whole at any moment, and a killed run goes on from its last epoch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from edgefleet_compiler.durable import replace_file, sync_folder, writing
from edgefleet_compiler.finetune.record import Identity, Run
from edgefleet_contract.errors import OutputUnwritable, RunMismatch

MODEL: Final = "model.onnx"
RECORD: Final = "finetune.json"
REPORT: Final = "report.html"
_STATE: Final = "checkpoint.npz"
_WORK: Final = ".training-"


class RunFolder:
    """The folder of one run.

    Args:
        path: It is made if need be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made: list[Path] = []

    @property
    def state(self) -> Path | None:
        """The state after the last epoch of a run that was stopped."""
        path = self.path / _STATE
        return path if path.is_file() else None

    def check(self) -> None:
        """Refuse early what cannot be written to; nothing is made yet.

        Raises:
            OutputUnwritable: A file stands there, or a folder of other files.
        """
        if self.path.exists() and not self.path.is_dir():
            raise OutputUnwritable(f"{str(self.path)!r} is a file", expected="a folder, or nothing yet")
        others = [path for path in self.path.iterdir() if not path.name.startswith(_WORK)] if self.path.is_dir() else []
        if others and not (self.path / RECORD).exists():
            raise OutputUnwritable(
                f"{str(self.path)!r} holds files that no fine-tuning wrote",
                expected="an empty folder, one of a run, or nothing yet",
                path=str(self.path),
            )

    def open(self, identity: Identity, *, resume: bool) -> Run | None:
        """Begin a run, or go on with one.

        Args:
            identity: Of the run that is wanted.
            resume: Whether to go on with what is there.

        Returns:
            The run that is there, where there is one of this identity and it is to go on.

        Raises:
            RunMismatch: Another run is there; or the same, which was stopped and is not to go on.
            OutputUnwritable: The folder cannot be written to.
        """
        self.check()
        found = self._read()
        if found is None or (found.finished and not resume):
            self._made = [path for path in (self.path, *self.path.parents) if not path.exists()]
            with writing(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
            return None
        identity.require_like(found.identity, self.path)
        if not resume:
            raise RunMismatch(
                f"{str(self.path)!r} holds this very run, stopped after {max(len(found.epochs) - 1, 0)} epochs",
                remedy="Give --resume to go on with it, or another --out.",
                path=str(self.path),
            )
        return found

    def keep(self, run: Run, state: Path) -> None:
        """Keep what an epoch came to; what an earlier run left goes before the first.

        Args:
            run: As it is after the epoch.
            state: To go on from. It comes last: a run with a record and an older state, or none, is whole as well.
        """
        with writing(self.path):
            for name in (MODEL, REPORT):
                (self.path / name).unlink(missing_ok=True)
        self.write(RECORD, run.as_json())
        with writing(self.path):
            state.replace(self.path / _STATE)
            sync_folder(self.path)

    def drop_state(self) -> None:
        """Training has ended."""
        (self.path / _STATE).unlink(missing_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole, durably.

        Raises:
            OutputUnwritable: There is no room, or the folder is read-only.
        """
        with writing(self.path):
            replace_file(self.path / name, data)

    @contextmanager
    def work(self) -> Iterator[Path]:
        """A folder for the child, gone afterwards; those of runs that were killed go now.

        Where nothing was kept, folders that were made for the run go as well.
        """
        for stale in self.path.glob(f"{_WORK}*"):
            shutil.rmtree(stale, ignore_errors=True)
        try:
            with (
                writing(self.path),
                tempfile.TemporaryDirectory(prefix=_WORK, dir=self.path, ignore_cleanup_errors=True) as name,
            ):
                yield Path(name).absolute()
        finally:
            with suppress(OSError):  # something is in it
                for made in self._made:
                    made.rmdir()

    def _read(self) -> Run | None:
        path = self.path / RECORD
        if not path.is_file():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=Run)
        except (OSError, msgspec.DecodeError) as cause:
            raise RunMismatch(
                f"{str(path)!r} is no record of a run: {cause}",
                expected="a finetune.json that edgefleet wrote",
                remedy="Give another --out.",
            ) from cause
