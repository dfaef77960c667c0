"""What a palette takes in a file, and from where on it is worth it."""

from __future__ import annotations

from typing import Final

LEVELS: Final = 16
"""Integers of a palette: what 4 bits can number."""

FEWEST_ELEMENTS: Final = 256
"""Below this the palette, and what a file says of it, take more bytes than are saved: the weights keep 8 bits."""


def palette_bytes(elements: int) -> int:
    """Bytes of so many weights and their palette."""
    return elements if elements < FEWEST_ELEMENTS else (elements + 1) // 2 + LEVELS
