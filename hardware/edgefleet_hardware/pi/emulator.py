"""One program in the emulated Pi, its instructions counted between the marks that it makes."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgefleet_contract.errors import EmulationFailed, EmulatorUnavailable, UsageMalformed
from edgefleet_hardware.pi.boards import BOARDS, Board
from edgefleet_hardware.pi.root import SITE, Root, find_root

CLASSES = ("dot", "int_mlal", "float_mla", "simd_other", "load_store", "other")
QEMU = "qemu-aarch64"  # Debian's qemu-user-static has no plugins
_COUNTS = "instructions.csv"  # in the working folder of a program
_ISOLATED = ("-P", "-s", "-S")  # the host's packages are not on the path


@dataclass(frozen=True)
class Mark:
    """What had been executed when a program made a mark.

    Attributes:
        number: Of the mark.
        counts: Instructions since the start, by class.
    """

    number: int
    counts: dict[str, int]


@dataclass(frozen=True)
class EmulatedPi:
    """A board that can be used."""

    board: Board
    root: Root

    def run(self, script: Path, arguments: Sequence[str], *, folder: Path) -> list[Mark]:
        """Run a Python script, which may import numpy and the runtimes.

        Paths of the host lead to the host's files wherever the root has none, so that the script and its arguments can
        lie anywhere.

        Args:
            script: The script; it makes a mark by ``os.lseek(descriptor of /dev/null, MARK + number, 0)``.
            arguments: Of the script.
            folder: Its working folder, of the caller's own.

        Returns:
            The marks in the order in which they were made.

        Raises:
            EmulationFailed: The program or QEMU ended with an error.
        """
        self._python(["-B", str(script), *arguments], folder=folder)
        with (folder / _COUNTS).open(newline="", encoding="ascii") as lines:
            return [_mark(row) for row in csv.DictReader(lines)]

    def try_runtimes(self) -> None:
        """Import the runtimes once, and keep the bytecode: the last step of building a root.

        Raises:
            EmulationFailed: They cannot be imported.
        """
        self._python(["-c", "import numpy, onnxruntime, ai_edge_litert.interpreter"], folder=self.root.folder)
        (self.root.folder / _COUNTS).unlink()

    def _python(self, arguments: Sequence[str], *, folder: Path) -> None:
        """Run the root's Python, which takes the name after -0 for where it lies."""
        plugin = f"{str(self.root.counter).replace(',', ',,')},out={_COUNTS}"
        qemu = [QEMU, "-L", str(self.root.view(self.board)), "-cpu", self.board.core, "-plugin", plugin]
        interpreter = ["-0", f"/usr/bin/{self.root.python.name}", str(self.root.python), *_ISOLATED]
        done = subprocess.run(  # noqa: S603 - our own command line, without a shell
            [*qemu, *interpreter, *arguments],
            cwd=folder,
            env=_environment(self.root),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise EmulationFailed(
                f"The program in the emulated {self.board.name} ended with status {done.returncode}: "
                f"{said[-1] if said else 'it said nothing'}",
                board=self.board.name,
                status=done.returncode,
            )


def open_pi(name: str) -> EmulatedPi:
    """A board by its name.

    Raises:
        UsageMalformed: No board has this name.
        EmulatorUnavailable: Its root, or QEMU, is not there.
    """
    if name not in BOARDS:
        raise UsageMalformed(f"No emulated Raspberry Pi is called {name!r}", expected=f"one of {', '.join(BOARDS)}")
    if shutil.which(QEMU) is None:
        raise EmulatorUnavailable(
            f"The emulated Raspberry Pi needs {QEMU}, which is not installed",
            remedy="Run: apt-get install -y --no-install-recommends qemu-user",
            missing=["qemu-user"],
        )
    return EmulatedPi(BOARDS[name], find_root())


def _mark(row: dict[str, str]) -> Mark:
    return Mark(int(row["mark"]), {name: int(row[name]) for name in CLASSES})


def _environment(root: Root) -> dict[str, str]:
    """Nothing of the caller's but where programs are: what a variable says may decide which kernels run."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "PYTHONPATH": f"/{SITE}",
        "PYTHONPYCACHEPREFIX": str(root.bytecode),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }
