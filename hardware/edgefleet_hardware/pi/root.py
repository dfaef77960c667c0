"""The root of the emulated Pi: Debian's files for arm64, the runtimes' wheels, the counter, and a view for each board.

A root is named by a digest of all that goes into it, so that another version of a runtime gets another root. It is
built beside its place and moved there whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

from edgefleet_contract.errors import EmulatorUnavailable
from edgefleet_hardware.pi.boards import BOARDS, Board

BUILD_COMMAND = "python -m edgefleet_hardware.pi"
MARK = 0x0ED6EF1EE7000000  # see counter.c

_LAYOUT = 1  # of the folder below; a change makes a new root
_SUITE = "bookworm"  # Raspberry Pi OS of 2023 to 2025 is made of it; Python 3.11, glibc 2.36
_PACKAGES = ("libgomp1", "libpython3-stdlib", "libstdc++6", "python3-minimal")
_PYTHON = "3.11"
_PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)))
# What the runtimes import; all but numpy and these two would only take space.
_WHEELS = ("ai-edge-litert", "flatbuffers", "numpy", "onnxruntime", "protobuf")
_TOOLS = {"mmdebstrap": "mmdebstrap", "gcc": "gcc libc6-dev", "tar": "tar"}
_COMPILER_FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden")


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
        return self.folder / "debian" / "usr" / "bin" / f"python{_PYTHON}"

    @property
    def site(self) -> Path:
        """The folder with the runtimes' packages."""
        return self.folder / "site"

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
    root = Root(_place(default_folder(), _versions()))
    if not root.folder.is_dir():
        raise EmulatorUnavailable(
            f"There is no emulated Raspberry Pi with the installed runtimes in {str(root.folder.parent)!r}",
            remedy=f"Build it, in about a minute on Debian: `{BUILD_COMMAND}` (or `make pi`).",
            folder=str(root.folder.parent),
        )
    return root


def build_root(folder: Path, tell: Callable[[str], None]) -> Root:
    """Build the root for the installed versions of the runtimes, unless it is there.

    Args:
        folder: Where roots are kept.
        tell: Told in a line what takes long.

    Raises:
        EmulatorUnavailable: A tool is missing, or something could not be fetched or written; nothing is left behind.
    """
    wheels = _versions()
    place = _place(folder, wheels)
    if place.is_dir():
        return Root(place)
    _require_tools()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=folder, ignore_cleanup_errors=True) as building:
            fresh = Path(building) / "root"
            fresh.mkdir()
            _fill(Root(fresh), wheels, tell)
            with suppress(FileExistsError):  # somebody else was faster, with the same
                fresh.rename(place)
    except OSError as cause:
        raise EmulatorUnavailable(
            f"The emulated Raspberry Pi cannot be written to {str(folder)!r}: {cause.strerror}", folder=str(folder)
        ) from cause
    return Root(place)


def _fill(root: Root, wheels: Mapping[str, str], tell: Callable[[str], None]) -> None:
    tell("compiling the counter of instructions")
    source = resources.files("edgefleet_hardware.pi") / "counter.c"
    with resources.as_file(source) as file:
        _run(["gcc", *_COMPILER_FLAGS, f"-DMARK=UINT64_C({MARK:#x})", "-o", str(root.counter), str(file)])
    tell(f"fetching Debian {_SUITE} for arm64")
    _extract_debian(root.folder)
    tell("fetching the runtimes' wheels for arm64")
    _install(wheels, root.site)
    for board in BOARDS.values():
        _write_view(root, board)


def _extract_debian(folder: Path) -> None:
    """Unpack packages without running anything of them; an archive between serves root and other users alike."""
    archive, debian = folder / "debian.tar", folder / "debian"
    options = ["--quiet", "--variant=extract", "--architectures=arm64", f"--include={','.join(_PACKAGES)}"]
    _run(["mmdebstrap", *options, _SUITE, str(archive)])
    debian.mkdir()
    _run(["tar", "-x", "-f", str(archive), "-C", str(debian), "--no-same-owner", "--exclude=./dev"])
    archive.unlink()


def _install(wheels: Mapping[str, str], site: Path) -> None:
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    python = ["--python-version", _PYTHON, "--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none"]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
    pins = [f"{name}=={version}" for name, version in wheels.items()]
    _run([*pip, "--only-binary=:all:", *platforms, *python, "--target", str(site), *pins])


def _write_view(root: Root, board: Board) -> None:
    """A folder that has Debian's files by links and the board's own ``/proc`` and ``/sys``."""
    view = root.view(board)
    for path, contents in board.files().items():
        file = view / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(contents, encoding="ascii")
    for entry in (root.folder / "debian").iterdir():
        if not (view / entry.name).exists():
            (view / entry.name).symlink_to(Path("..", "..", "debian", entry.name))


def _versions() -> dict[str, str]:
    """The versions of the runtimes here, so that host and Pi compute with the same ones."""
    try:
        return {name: metadata.version(name) for name in _WHEELS}
    except metadata.PackageNotFoundError as cause:
        raise EmulatorUnavailable(
            f"The package {cause.name!r} is not installed here, and the emulated Raspberry Pi gets the same version",
            remedy="Install edgefleet with its compiler: pip install 'edgefleet[compiler]'.",
        ) from cause


def _place(folder: Path, wheels: Mapping[str, str]) -> Path:
    counter = (resources.files("edgefleet_hardware.pi") / "counter.c").read_bytes()
    boards = [sorted(board.files().items()) for board in BOARDS.values()]
    contents = repr((_LAYOUT, _SUITE, _PACKAGES, sorted(wheels.items()), MARK, counter, boards))
    return folder.absolute() / hashlib.sha256(contents.encode()).hexdigest()[:16]


def _require_tools() -> None:
    missing = [packages for tool, packages in _TOOLS.items() if shutil.which(tool) is None]
    if missing:
        raise EmulatorUnavailable(
            f"Building the emulated Raspberry Pi needs Debian packages that are missing: {', '.join(missing)}",
            remedy=f"Run: apt-get install -y --no-install-recommends {' '.join(missing)}",
            missing=missing,
        )


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - our own command lines, without a shell
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise EmulatorUnavailable(
            f"{Path(command[0]).name} failed with status {done.returncode} while the emulated Raspberry Pi was built: "
            f"{said[-1] if said else 'it said nothing'}",
            remedy="It fetches packages from Debian and PyPI: are both within reach?",
        )
