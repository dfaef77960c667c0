"""Processes that run TensorFlow: what they see of this one, how they end, and what they said last."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgefleet_contract.errors import UsageMalformed

_NEEDS: Final = ("tensorflow", "keras", "h5py")
_TOLD_BYTES: Final = 2000
_OUT_OF_MEMORY: Final = ("bad_alloc", "Cannot allocate memory", "Out of memory", "out of memory")


def require_tensorflow(what: str, otherwise: str) -> None:
    """Refuse what takes TensorFlow where it is not installed.

    Args:
        what: That which takes it, and a verb: ``Keras files need``.
        otherwise: What else can be done, after a comma.

    Raises:
        UsageMalformed: It is not installed.
    """
    missing = _missing()
    if missing:
        raise UsageMalformed(
            f"{what} the Python package {missing[0]!r}, which is not installed",
            remedy=f"Install it with `pip install 'edgefleet[tensorflow]'`, {otherwise}.",
            extra="tensorflow",
        )


def has_tensorflow() -> bool:
    """Whether everything that training takes is installed."""
    return not _missing()


def _missing() -> list[str]:
    return [package for package in _NEEDS if importlib.util.find_spec(package) is None]


def child_environment(folder: Path) -> dict[str, str]:
    """Nothing of the caller's but where programs, packages and libraries lie."""
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_absolute()),
        "PYTHONHASHSEED": "0",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "KERAS_HOME": str(folder),
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",  # each arena takes 64 MiB of address space
        "HDF5_PLUGIN_PRELOAD": "::",  # HDF5 then loads no filter from a library that a file names
    }


def start_child(module: str, folder: Path, log: str, *, pipes: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start a child of this interpreter, in a session of its own.

    Args:
        module: What it runs.
        folder: Where it works; its home, too.
        log: Name of the file in it that gets what the child prints.
        pipes: Descriptors that it inherits.
    """
    with (folder / log).open("wb") as file:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-s", "-m", module],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            cwd=folder,
            env=child_environment(folder),
            pass_fds=pipes,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_words(log: Path) -> str:
    """The end of what a child wrote."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TOLD_BYTES))
        return file.read().decode(errors="replace").strip()


def tells_of_memory(said: str) -> bool:
    """Whether a child's last words say that it had too little memory."""
    return any(words in said for words in _OUT_OF_MEMORY)
