"""A signal ends the server whenever it comes, also in the moment in which the server begins to wait for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

# SIGALRM stands in the way as a foreign signal; the timer moves over the whole way into the wait in half-microseconds.
_STORY = """
import os, signal
from edgefleet_server.stop_signals import StopSignals

stop = StopSignals()
signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
for moment in range(20_000):
    signal.setitimer(signal.ITIMER_REAL, 1e-6 + moment % 80 * 5e-7)
    assert stop.wait() is signal.SIGTERM
os.kill(os.getpid(), signal.SIGINT)
assert stop.wait() is signal.SIGINT, "one that came before the wait is kept"
"""


def test_no_moment_is_a_bad_one() -> None:
    done = subprocess.run([sys.executable, "-c", _STORY], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
