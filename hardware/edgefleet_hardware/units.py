"""Quantities as people write them: ``256KiB``, ``20ms``, ``1.5GHz``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

# IEC 80000-13: Ki, Mi, Gi are powers of 1024; k, M, G are powers of 1000.
_BYTES = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_SECONDS = {"us": Decimal("1e-6"), "ms": Decimal("1e-3"), "s": Decimal(1)}
_HERTZ = {"Hz": 1, "kHz": 1000, "MHz": 1000**2, "GHz": 1000**3}
_QUANTITY = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]*)\s*")


def parse_bytes(text: str) -> int:
    """A size in bytes: ``65536``, ``64KiB``, ``1.5MB``.

    Raises:
        ValueError: No such quantity, or not a whole number of bytes.
    """
    value = _parse(text, _BYTES)
    if value != int(value):
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return int(value)


def parse_seconds(text: str) -> float:
    """A duration in seconds: ``20ms``, ``1.5s``, ``300us``.

    Raises:
        ValueError: No such quantity.
    """
    return float(_parse(text, _SECONDS))


def parse_hertz(text: str) -> float:
    """A frequency in hertz: ``64MHz``, ``1.5GHz``.

    Raises:
        ValueError: No such quantity.
    """
    return float(_parse(text, _HERTZ))


def format_bytes(size: int) -> str:
    """A size as a person reads it: ``812 B``, ``94.2 KiB``, ``1.0 MiB``."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def _parse(text: str, units: Mapping[str, int | Decimal]) -> Decimal:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        known = ", ".join(unit for unit in units if unit)
        raise ValueError(f"{text!r} is not a number with one of the units {known}")
    return Decimal(match[1]) * units[match[2]]
