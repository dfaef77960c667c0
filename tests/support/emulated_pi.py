"""The emulated Raspberry Pi of the tests, in ``.pi`` beside the Makefile: built once, whoever asks first."""

from __future__ import annotations

import fcntl
from functools import cache
from pathlib import Path

from edgefleet_hardware.pi.build import build_root
from edgefleet_hardware.pi.root import Root

FOLDER = Path(__file__).resolve().parents[2] / ".pi"


@cache
def built_pi() -> Root:
    """The root; building it takes about a quarter of a minute and the network."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / ".lock").open("w") as lock:  # workers of pytest-xdist ask at once; one of them fetches it
        fcntl.flock(lock, fcntl.LOCK_EX)
        return build_root(FOLDER, print)
