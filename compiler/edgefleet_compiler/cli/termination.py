"""SIGTERM as an end that tidies up: what a command has begun is cleared away like after an interrupt."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STATUS = 128 + signal.SIGTERM  # as shells have it


@contextmanager
def tidy_termination() -> Iterator[None]:
    """Let SIGTERM leave the block like an exception; the process then ends with the status that shells give it."""
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not get between what is being cleared away
    sys.stderr.write("terminated\n")
    raise SystemExit(_STATUS)
