"""One worker as those see it who have ideas evaluated: a process of its own, started anew when it died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from edgefleet_compiler.sweep.channel import Answer, receive, send
from edgefleet_compiler.sweep.job import Job
from edgefleet_compiler.sweep.record import Evaluation, Idea

_CHILD = "edgefleet_compiler.sweep.child"
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_TOLD_BYTES = 2000
_GRACE_S = 10.0


class Worker:
    """A process that evaluates ideas, one at a time, on one thread.

    Args:
        job: What it is told first.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def evaluate(self, idea: Idea) -> Answer:
        """The answer of the process; a failed evaluation where it ends before it gave one."""
        try:
            content = self._ask(idea)
        except OSError:
            content = None
        if content is None:
            return Evaluation(outcome="failed", why=self._last_words())
        answer: Answer = msgspec.msgpack.decode(content, type=Answer)
        return answer

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is None or self._log is None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # what is still buffered for a process that is gone
            self._process.stdin.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process.stdout.close()  # last: whoever reads there holds it until the process is gone
        self._log.close()

    def _ask(self, idea: Idea) -> bytes | None:
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        send(self._process.stdin, idea)
        return receive(self._process.stdout)

    def _start(self) -> None:
        self.close()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(),
            start_new_session=True,  # an interrupt at the terminal is for the command, which ends its workers
        )
        assert self._process.stdin is not None
        send(self._process.stdin, self._job)

    def _last_words(self) -> str:
        """How the process ended, and the last line of what it said."""
        assert self._process is not None
        assert self._log is not None
        status = self._process.wait()
        ended = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        self._log.seek(max(0, self._log.tell() - _TOLD_BYTES))
        said = self._log.read().decode(errors="replace").strip().splitlines()
        return f"Its process ended with {ended}" + (f": {said[-1]}" if said else "")


def _environment() -> dict[str, str]:
    """That of this process, with its packages and one thread; a sweep has a process for each core."""
    packages = os.pathsep.join(path for path in sys.path if Path(path).is_absolute())
    return {**os.environ, "PYTHONPATH": packages, **dict.fromkeys(_ONE_THREAD, "1")}
