"""Builds the root of the emulated Pi: Debian's files for arm64, the runtimes' wheels, the counter, each board's view.

It is built beside its place and moved there whole. Nothing of Debian's packages is run but Python, by QEMU.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from edgefleet_contract.errors import EmulatorUnavailable
from edgefleet_hardware.pi.boards import BOARDS, Board
from edgefleet_hardware.pi.emulator import QEMU, EmulatedPi
from edgefleet_hardware.pi.root import MARK, PACKAGES, PYTHON, SITE, SUITE, Root, installed_versions, place_of

_PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)))
_TOOLS = {"gcc": "gcc libc6-dev", "mmdebstrap": "mmdebstrap", QEMU: "qemu-user", "tar": "tar"}
_COMPILER_FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden")


def build_root(folder: Path, tell: Callable[[str], None]) -> Root:
    """Build the root for the installed versions of the runtimes, unless it is there.

    Args:
        folder: Where roots are kept.
        tell: Told in a line what takes long.

    Raises:
        EmulatorUnavailable: A tool is missing, or something could not be fetched or written; nothing is left behind.
    """
    wheels = installed_versions()
    place = place_of(folder, wheels)
    if place.is_dir():
        return Root(place)
    _require_tools()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=folder, ignore_cleanup_errors=True) as building:
            fresh = Path(building) / "root"
            fresh.mkdir()
            _fill(Root(fresh), wheels, tell)
            _settle(fresh, place)
    except OSError as cause:
        raise EmulatorUnavailable(
            f"The emulated Raspberry Pi cannot be written to {str(folder)!r}: {cause.strerror}", folder=str(folder)
        ) from cause
    return Root(place)


def _settle(fresh: Path, place: Path) -> None:
    """Move a root to its place, unless somebody was faster with the same."""
    try:
        fresh.rename(place)
    except OSError:
        if not place.is_dir():
            raise


def _fill(root: Root, wheels: Mapping[str, str], tell: Callable[[str], None]) -> None:
    tell("compiling the counter of instructions")
    source = resources.files("edgefleet_hardware.pi") / "counter.c"
    with resources.as_file(source) as file:
        _run(["gcc", *_COMPILER_FLAGS, f"-DMARK=UINT64_C({MARK:#x})", "-o", str(root.counter), str(file)])
    tell(f"fetching Debian {SUITE} for arm64")
    _extract_debian(root.folder)
    tell("fetching the runtimes' wheels for arm64")
    _install(wheels, root.site)
    for board in BOARDS.values():
        _write_view(root, board)
    tell("trying the runtimes")
    EmulatedPi(next(iter(BOARDS.values())), root).try_runtimes()


def _extract_debian(folder: Path) -> None:
    """Unpack packages into a folder, by way of an archive: only in one may anybody write device files, left out here.

    No user but root can change roots or mount, and in many containers not even root; ``chrootless`` does neither. Its
    scripts of packages would run outside, but ``extract`` runs none.
    """
    archive, debian = folder / "debian.tar", folder / "debian"
    options = ["--quiet", "--mode=chrootless", "--variant=extract", "--architectures=arm64"]
    _run(["mmdebstrap", *options, f"--include={','.join(PACKAGES)}", SUITE, str(archive)])
    debian.mkdir()
    _run(["tar", "-x", "-f", str(archive), "-C", str(debian), "--no-same-owner", "--exclude=./dev"])
    archive.unlink()


def _install(wheels: Mapping[str, str], site: Path) -> None:
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    python = ["--python-version", PYTHON, "--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none"]
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
    (view / SITE).symlink_to(Path("..", "..", root.site.name))


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
