"""Progress on stderr, where results do not go."""

from __future__ import annotations

import sys
import time

_started = time.monotonic()


def tell(what: str) -> None:
    """A line, with the seconds since the start."""
    sys.stderr.write(f"{time.monotonic() - _started:5.0f} s  {what}\n")
    sys.stderr.flush()
