"""What a cold process costs: seconds from start to end, and its peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.subjects import ROOT

# A child that was forked counts its parent's memory in ru_maxrss; VmHWM is of its own address space alone.
_SELF_MEASURED = """
import atexit, runpy, sys
report, sys.argv = sys.argv[1], sys.argv[2:]
def tell():
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    open(report, "w").write(peak.split()[1])
atexit.register(tell)
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""

_PATIENCE = 1800.0
"""Seconds; what is not done by then is not waited for."""


@dataclass(frozen=True)
class Cost:
    """A cold process: seconds from start to end, and its peak resident memory in MB (1e6 bytes)."""

    seconds: float
    megabytes: float


class ProcessFailed(Exception):
    """A process ended with another status than 0; the message has the last line that it wrote."""


def run(arguments: Sequence[str]) -> Cost:
    """Run a module, ``["-m", NAME, ...]``, in a cold process and measure it.

    Raises:
        ProcessFailed: It did not succeed.
    """
    with tempfile.NamedTemporaryFile() as report:
        command = [sys.executable, "-c", _SELF_MEASURED, report.name, *arguments[1:]]
        # Without compiled files Python would compile all sources anew in each process, which no user's does.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        started = time.perf_counter()
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                command,
                capture_output=True,
                check=False,
                text=True,
                errors="replace",
                cwd=ROOT,
                env=environment,
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired as cause:
            raise ProcessFailed(f"{arguments[1]} took longer than {_PATIENCE:.0f} s") from cause
        seconds = time.perf_counter() - started
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ProcessFailed(f"{arguments[1]} ended with status {done.returncode}: {last[:300]}")
        return Cost(seconds, int(report.read()) * 1024 / 1e6)


def median(costs: Sequence[Cost]) -> Cost:
    """Medians of seconds and memory."""
    return Cost(statistics.median(cost.seconds for cost in costs), statistics.median(cost.megabytes for cost in costs))
