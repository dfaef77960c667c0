"""What the commands print: JSON or tables on stdout, progress and warnings on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from edgefleet_compiler import progress as stages

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

_PIPE_WIDTH = 120  # characters


def stdout() -> Console:
    """Where results go; a pipe or file gets lines of a fixed width that fits the tables."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def stderr() -> Console:
    """Where progress, warnings and errors go."""
    return Console(stderr=True, highlight=False)


def print_json(document: object) -> None:
    """The one JSON document of a command with ``--json``; a number that is not finite becomes null."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


@contextmanager
def shown_progress(*, lines: bool = False) -> Iterator[stages.Progress]:
    """Progress bars on stderr while the block runs.

    Args:
        lines: Whether each stage is told in a line where stderr is no terminal, as of commands that run for hours;
            else nothing is told there.
    """
    console = stderr()
    if not console.is_terminal:
        yield _Lines() if lines else stages.Silent()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars)


class _Lines:
    """One line a stage, for logs."""

    def stage(self, label: str, total: int | None = None) -> None:  # noqa: ARG002 - a log counts no steps
        """See ``edgefleet_compiler.progress.Progress``."""
        sys.stderr.write(f"{label}\n")
        sys.stderr.flush()

    def advance(self) -> None:
        """See ``edgefleet_compiler.progress.Progress``."""


class _Bars:
    """One bar at a time: the stage that runs now."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task = bars.add_task("starting", total=None)

    def stage(self, label: str, total: int | None = None) -> None:
        """See ``edgefleet_compiler.progress.Progress``."""
        self._bars.remove_task(self._task)
        self._task = self._bars.add_task(label, total=total)

    def advance(self) -> None:
        """See ``edgefleet_compiler.progress.Progress``."""
        self._bars.advance(self._task)
