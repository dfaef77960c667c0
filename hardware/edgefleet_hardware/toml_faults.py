"""What is wrong with a TOML file, in the words of TOML."""

from __future__ import annotations

import re

_PLACE = re.compile(r" - at `\$\.?([^`]*)`")


def plain_fault(cause: Exception) -> str:
    """What a decoder says of a file, with the place as the file has it: ``$.int8`` is the key ``int8``."""
    return _PLACE.sub(lambda place: f" (in {place[1]!r})" if place[1] else "", str(cause))
