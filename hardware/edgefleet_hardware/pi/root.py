"""The root of the emulated Pi: where it is, and for which versions of the runtimes.

A root is named by a digest of all that goes into it, so that another version of a runtime gets another root.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from edgefleet_contract.errors import EmulatorUnavailable
from edgefleet_hardware.pi.boards import BOARDS, Board

BUILD_COMMAND = "python -m edgefleet_hardware.pi"
SUITE = "bookworm"  # Raspberry Pi OS of 2023 to 2025 is made of it; Python 3.11, glibc 2.36
PACKAGES = ("libgomp1", "libpython3-stdlib", "libstdc++6", "python3-minimal")
PYTHON = "3.11"
SITE = "edgefleet"  # the folder of the wheels, seen from within
MARK = 0x0ED6EF1EE7000000  # see counter.c

_LAYOUT = 1  # of the folder; a change makes a new root
# The runtimes and what they import; their other dependencies would only take space.
_WHEELS = ("ai-edge-litert", "flatbuffers", "numpy", "onnxruntime", "protobuf")


@dataclass(frozen=True)
class Root:
    """A root that is built.

    Attributes:
        folder: Holds it all.
    """

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter, as a file of the host."""
        return self.folder / "debian" / "usr" / "bin" / f"python{PYTHON}"

    @property
    def site(self) -> Path:
        """The folder with the runtimes' packages, which programs in the root see as ``/edgefleet``."""
        return self.folder / "site"

    @property
    def bytecode(self) -> Path:
        """What Python compiled of the modules that the runtimes import; that takes seconds under emulation."""
        return self.folder / "bytecode"

    @property
    def counter(self) -> Path:
        """The plugin that counts instructions."""
        return self.folder / "counter.so"

    def view(self, board: Board) -> Path:
        """The root as it looks on a board."""
        return self.folder / "boards" / board.name


def default_folder() -> Path:
    """Where roots are kept: ``$EDGEFLEET_PI``, by default ``pi`` in ``$EDGEFLEET_HOME``."""
    configured, home = os.environ.get("EDGEFLEET_PI"), os.environ.get("EDGEFLEET_HOME")
    if configured:
        return Path(configured)
    return (Path(home) if home else Path.home() / ".config" / "edgefleet") / "pi"


def find_root() -> Root:
    """The root for the installed versions of the runtimes.

    Raises:
        EmulatorUnavailable: It is not built.
    """
    root = Root(place_of(default_folder(), installed_versions()))
    if not root.folder.is_dir():
        raise EmulatorUnavailable(
            f"There is no emulated Raspberry Pi with the installed runtimes in {str(root.folder.parent)!r}",
            remedy=f"Build it, in about a minute on Debian: `{BUILD_COMMAND}` (or `make pi`).",
            folder=str(root.folder.parent),
        )
    return root


def installed_versions() -> dict[str, str]:
    """The versions of the runtimes here, so that host and Pi compute with the same ones.

    Raises:
        EmulatorUnavailable: One is not installed.
    """
    try:
        return {name: metadata.version(name) for name in _WHEELS}
    except metadata.PackageNotFoundError as cause:
        raise EmulatorUnavailable(
            f"The package {cause.name!r} is not installed here, and the emulated Raspberry Pi gets the same version",
            remedy="Install edgefleet with its compiler: pip install 'edgefleet[compiler]'.",
        ) from cause


def place_of(folder: Path, wheels: Mapping[str, str]) -> Path:
    """Where the root with these versions of the runtimes is, or will be.

    Args:
        folder: Where roots are kept.
        wheels: Versions by package.
    """
    counter = (resources.files("edgefleet_hardware.pi") / "counter.c").read_bytes()
    boards = [sorted(board.files().items()) for board in BOARDS.values()]
    contents = repr((_LAYOUT, SUITE, PACKAGES, sorted(wheels.items()), MARK, counter, boards))
    return folder.absolute() / hashlib.sha256(contents.encode()).hexdigest()[:16]
