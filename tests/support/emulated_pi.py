"""The emulated Raspberry Pi of the tests, in ``.pi`` beside the Makefile: built once, whoever asks first."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from edgefleet_hardware.pi.build import build_root
from edgefleet_hardware.pi.root import Root

FOLDER = Path(__file__).resolve().parents[2] / ".pi"


@cache
def built_pi() -> Root:
    """The root; building it takes about a quarter of a minute and the network."""
    return build_root(FOLDER, print)
