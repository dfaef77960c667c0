"""The data folder of an agent: where everything lies, and the lock that keeps a second agent out."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from edgefleet_agent.disk import explained
from edgefleet_contract.errors import DataFolderInUse, OutputUnwritable

SlotName = Literal["a", "b"]
SLOTS: tuple[SlotName, SlotName] = ("a", "b")


@dataclass(frozen=True)
class DataFolder:
    """Paths below one data folder.

    Attributes:
        root: The folder that ``--data`` names.
    """

    root: Path

    @property
    def identity(self) -> Path:
        """The device's key and certificate, and where its broker is."""
        return self.root / "identity"

    @property
    def trust(self) -> Path:
        """Whom the device believes, as enrolment fixed it."""
        return self.root / "trust"

    @property
    def floor(self) -> Path:
        """What must never sink; a file of its own, so that it survives the loss of every other."""
        return self.root / "floor.json"

    @property
    def record(self) -> Path:
        """The state of the state machine and of both slots: the one file whose replacement is a transition."""
        return self.root / "state.json"

    @property
    def download(self) -> Path:
        """Files on their way, with their block maps."""
        return self.root / "download"

    @property
    def spool(self) -> Path:
        """Telemetry that the server has not acknowledged."""
        return self.root / "spool"

    @property
    def samples(self) -> Path:
        """Inputs kept by the sampling policy."""
        return self.root / "samples"

    @property
    def outbox(self) -> Path:
        """Sealed samples that the server has not acknowledged."""
        return self.root / "outbox"

    @property
    def lock(self) -> Path:
        """Held by the running agent; says where it serves."""
        return self.root / "lock"

    @property
    def settings(self) -> Path:
        """The user's settings, if any."""
        return self.root / "agent.toml"

    def slot(self, name: SlotName) -> Path:
        """The folder of an unpacked bundle."""
        return self.root / "slots" / name


class RunningAgent(msgspec.Struct, frozen=True):
    """What the lock file says of the agent that holds it."""

    pid: int
    serving: str


class Lock:
    """The exclusive use of a data folder; the operating system releases it when the process ends.

    Raises:
        DataFolderInUse: Another process has it.
        OutputUnwritable: The folder cannot be made or written.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._path = folder.lock
        try:
            folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as cause:
            raise OutputUnwritable(
                f"The data folder {str(folder.root)!r} cannot be written: {cause.strerror}"
            ) from cause
        if not _take(self._file):
            os.close(self._file)
            raise DataFolderInUse(
                f"Another agent uses the data folder {str(folder.root)!r}",
                remedy="Stop it, or give each agent a folder of its own.",
            )
        os.ftruncate(self._file, 0)

    def announce(self, agent: RunningAgent) -> None:
        """Tell other processes where this agent serves.

        Raises:
            DiskFailed: The disk has no room for it.
        """
        with explained(self._path):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, msgspec.json.encode(agent), 0)

    def release(self) -> None:
        """Let others use the folder."""
        os.ftruncate(self._file, 0)
        os.close(self._file)


def _take(file: int) -> bool:
    """Lock exclusively; more than one try, because :func:`running_agent` holds a lock for some microseconds."""
    for _ in range(5):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def running_agent(folder: DataFolder) -> RunningAgent | None:
    """The agent that holds the folder's lock and serves; None if there is none."""
    try:
        file = os.open(folder.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return msgspec.json.decode(os.pread(file, 4096, 0), type=RunningAgent)
        except msgspec.DecodeError:
            return None
    else:
        return None
    finally:
        os.close(file)
