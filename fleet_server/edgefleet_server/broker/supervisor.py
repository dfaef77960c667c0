"""Keeps the broker child running: starts it, waits for its end, starts it again; and it dies with this process."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from edgefleet_contract.errors import BrokerFailed

_log = logging.getLogger(__name__)
_FIRST_DELAY = 0.5  # seconds before a dead child is started again; doubled each time
_LAST_DELAY = 30.0
_LIVED_WELL = 60.0  # seconds after which a child's end counts as the first one again
_STOP_TIMEOUT = 5.0
_LOG_TAIL = 5  # lines


class Supervisor:
    """A broker child.

    Args:
        command: Runs the broker in the foreground, in the folder of its log.
        log: File for what it says; written anew at each start of the server.
        on_restart: Called each time that it had to be started again.
    """

    def __init__(self, command: list[str], log: Path, on_restart: Callable[[], None]) -> None:
        self._command = [sys.executable, "-P", "-m", "edgefleet_server.broker.leash", str(os.getpid()), *command]
        self._log_path = log
        self._on_restart = on_restart
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        # The child's leash is tied to this thread (see ``leash``): it starts every child and ends last.
        self._thread = threading.Thread(target=self._run, name="broker-supervisor", daemon=True)

    def start(self, host: str, port: int, timeout: float) -> None:
        """Start the child and wait until it listens.

        Raises:
            BrokerFailed: It ended, or does not listen within ``timeout`` seconds.
        """
        self._log_path.write_bytes(b"")
        self._thread.start()
        self._started.wait()
        waited = 0.0
        while waited < timeout and self.is_alive():
            # mosquitto listens some milliseconds before it reads its certificates, and then ends if they are none.
            if _listens(host, port) and not self._stopping.wait(0.1) and self.is_alive() and _listens(host, port):
                return
            self._stopping.wait(0.05)
            waited += 0.05
        self.stop()
        raise BrokerFailed(
            f"The broker did not start on {host}:{port}: {self._tail() or 'it said nothing'}",
            remedy="Choose another port with --broker-port, or another broker with --broker.",
            log=str(self._log_path),
        )

    def is_alive(self) -> bool:
        """Whether the child runs."""
        return self._child is not None and self._child.poll() is None

    def reload(self) -> None:
        """Let the child read again who is revoked."""
        if self._child is not None and self.is_alive():
            self._child.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End the child, and do not start it again."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        delay = _FIRST_DELAY
        with self._log_path.open("ab") as log:
            while not self._stopping.is_set():
                self._child = self._spawn(log)
                self._started.set()
                lived = self._wait(self._child)
                if self._stopping.is_set():
                    break
                delay = _FIRST_DELAY if lived > _LIVED_WELL else min(delay * 2, _LAST_DELAY)
                _log.error("the broker ended with status %s; it starts again in %g s", self._child.returncode, delay)
                self._stopping.wait(delay)
                self._on_restart()
            _end(self._child)

    def _spawn(self, log: BinaryIO) -> subprocess.Popen[bytes]:
        """Start the child in a session of its own: Ctrl-C in a terminal is for us, and we end it in our order."""
        return subprocess.Popen(  # noqa: S603 - our own command
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=self._log_path.parent,
        )

    def _wait(self, child: subprocess.Popen[bytes]) -> float:
        """Wait for the child's end, or ours; returns how many seconds it lived."""
        lived = 0.0
        while not self._stopping.is_set():
            try:
                child.wait(0.2)
            except subprocess.TimeoutExpired:
                lived += 0.2
            else:
                break
        return lived

    def _tail(self) -> str:
        lines = self._log_path.read_text(errors="replace").splitlines()
        return " | ".join(lines[-_LOG_TAIL:])


def _end(child: subprocess.Popen[bytes] | None) -> None:
    if child is None or child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
