"""Runs ``edgefleet`` commands as subprocesses and shows them, so that the demo teaches what to type."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefleet_contract.errors import DemoFailed

if TYPE_CHECKING:
    from rich.console import Console

_COMMAND_TIMEOUT_S = 120
_STOP_TIMEOUT_S = 15
_POLL_S = 0.1
_SHOWN_WIDTH = 160


@dataclass
class Child:
    """A command that keeps running: the server, or an agent.

    Attributes:
        name: For people.
        process: The subprocess.
        log: The file that its stderr goes to.
        ready: The JSON object that it printed once it was up.
    """

    name: str
    process: subprocess.Popen[str]
    log: Path
    ready: dict[str, Any] = field(default_factory=dict)

    def check_alive(self) -> None:
        """Raise unless it still runs.

        Raises:
            DemoFailed: It has ended; the end of its log is in the text.
        """
        status = self.process.poll()
        if status is not None:
            raise DemoFailed(f"{self.name} ended with status {status}: {_tail(self.log)}", log=str(self.log))

    def stop(self) -> None:
        """Ask it to end, and see to it that it does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class Commands:
    """The operator's shell: an environment, a log folder, and the children that were started in it.

    Args:
        console: Where the commands are shown.
        folder: For logs and for the operator's keys, so that the demo touches nobody's own.
    """

    def __init__(self, console: Console, folder: Path) -> None:
        self._console = console
        self._logs = folder / "logs"
        self._logs.mkdir(parents=True)
        self.environment = os.environ | {"EDGEFLEET_HOME": str(folder / "operator")}
        self.children: list[Child] = []

    def run(self, *arguments: str | Path) -> Any:
        """Show and run a command; returns what it printed with ``--json``.

        Raises:
            DemoFailed: It ended with another status than 0.
        """
        return self.ask(*self._show(arguments))

    def ask(self, *words: str) -> Any:
        """As :meth:`run`, without showing it: for looking again and again."""
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            [sys.executable, "-P", "-m", "edgefleet", *words, "--json"],
            env=self.environment, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False,
        )  # fmt: skip
        if done.returncode:
            raise DemoFailed(f"`edgefleet {shlex.join(words)}` ended with {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def start(self, name: str, *arguments: str | Path) -> Child:
        """Start a command that keeps running, and wait for the JSON line that says it is up.

        Raises:
            DemoFailed: It ended before that.
        """
        words = self._show(arguments)
        log = self._logs / f"{name.replace(' ', '-')}.log"
        with log.open("a") as errors:
            process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                [sys.executable, "-P", "-m", "edgefleet", *words, "--json"],
                env=self.environment, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        child = Child(name, process, log)
        self.children.append(child)
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            process.wait()
            child.check_alive()
        child.ready = json.loads(line)
        return child

    def check_alive(self) -> None:
        """Raise if any child has ended (:class:`DemoFailed`)."""
        for child in self.children:
            child.check_alive()

    def stop_all(self) -> None:
        """Stop every child, the youngest first."""
        while self.children:
            self.children.pop().stop()

    def release_all(self) -> list[int]:
        """Leave the children running when this process ends; returns their process ids, the youngest first."""
        left = [child.process.pid for child in reversed(self.children)]
        self.children.clear()
        return left

    def wait(self, what: str, seconds: float) -> Waiting:
        """A loop that ends by ``break``; see :class:`Waiting`."""
        return Waiting(self, what, seconds)

    def _show(self, arguments: tuple[str | Path, ...]) -> list[str]:
        words = [str(argument) for argument in arguments]
        shown = shlex.join(_without_secret(words))
        if len(shown) > _SHOWN_WIDTH:
            shown = shown[: _SHOWN_WIDTH - 1] + "…"
        self._console.print(f"  [dim]$ edgefleet {shown}[/dim]", highlight=False, soft_wrap=True)
        return words


class Waiting:
    """``for _ in commands.wait("…", 60): if done: break`` polls, with all children alive, until the time is up.

    Raises:
        DemoFailed: A child ended, or the time is up.
    """

    def __init__(self, commands: Commands, what: str, seconds: float) -> None:
        self._commands, self._what, self._seconds = commands, what, seconds
        self._deadline = time.monotonic() + seconds

    def __iter__(self) -> Waiting:
        return self

    def __next__(self) -> None:
        self._commands.check_alive()
        if time.monotonic() > self._deadline:
            raise DemoFailed(f"Waited {self._seconds:.0f} s in vain: {self._what}")
        time.sleep(_POLL_S)


def _without_secret(words: list[str]) -> list[str]:
    """The words with claim tokens cut short."""
    return ["eft1.…" if word.startswith("eft1.") else word for word in words]


def _tail(log: Path) -> str:
    return " / ".join(log.read_text(errors="replace").strip().splitlines()[-3:]) or "it said nothing"
