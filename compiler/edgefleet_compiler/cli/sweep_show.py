"""What `edgefleet model sweep` shows: its progress, and the front as a table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from edgefleet_compiler.cli.show import stderr
from edgefleet_compiler.sweep.progress import Silent, SweepProgress
from edgefleet_hardware.units import format_bytes

if TYPE_CHECKING:
    from edgefleet_compiler.sweep.record import Candidate
    from edgefleet_compiler.sweep.results import Results

_HEADINGS = ("no.", "candidate", "bytes", "peak RAM", "MACs", "accuracy", "drop", "SQNR", "verdict")
_WORDS = ("candidate", "verdict")


@contextmanager
def shown_sweep() -> Iterator[SweepProgress]:
    """A progress bar on stderr while the block runs; nothing where stderr is no terminal."""
    console = stderr()
    if not console.is_terminal:
        yield Silent()
        return
    columns = (
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bar(bars)


class _Bar:
    """How many candidates are done, and the smallest accepted one so far."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task = bars.add_task("starting", total=None)
        self._smallest: int | None = None

    def planned(self, total: int) -> None:
        """See ``SweepProgress``."""
        self._bars.update(self._task, total=total)

    def done(self, candidate: Candidate) -> None:
        """See ``SweepProgress``."""
        self._bars.advance(self._task)
        figures = candidate.evaluation.figures
        if figures is None or figures.verdict == "refused":
            return
        if self._smallest is None or figures.bytes < self._smallest:
            self._smallest = figures.bytes
            accuracy = "" if figures.accuracy is None else f", accuracy {figures.accuracy:.4f}"
            told = f"smallest accepted: {format_bytes(figures.bytes)}{accuracy} ({candidate.idea.name})"
            self._bars.update(self._task, description=escape(told))


def show_front(results: Results, folder: Path, console: Console) -> None:
    """The front, and where the rest of the results is."""
    metric = "" if results.metric is None else f"; the source reaches {results.metric} {results.baseline:.4f}"
    measured = sum(candidate.evaluation.outcome == "measured" for candidate in results.candidates)
    console.print(f"{len(results.front)} of {measured} artifacts for {escape(results.target)} are on the front{metric}")
    table = Table(box=box.SIMPLE_HEAD)
    for heading in _HEADINGS:
        table.add_column(heading, no_wrap=heading != "candidate", justify="left" if heading in _WORDS else "right")
    for candidate in results.front:
        table.add_row(*_cells(candidate))
    console.print(table)
    console.print(escape(str(folder / "report.html")), soft_wrap=True)


def tell_failures(results: Results) -> None:
    """Candidates whose process failed, on stderr: the next start tries them again."""
    for candidate in results.candidates:
        if candidate.evaluation.outcome == "failed":
            told = f"candidate {candidate.label} ({candidate.idea.name}) failed: {candidate.evaluation.why}"
            stderr().print(f"[yellow]warning[/yellow]: {escape(told)}", soft_wrap=True)


def _cells(candidate: Candidate) -> list[str]:
    figures = candidate.evaluation.figures
    assert figures is not None, "what is on the front was measured"
    return [
        candidate.label,
        escape(candidate.idea.name),
        f"{figures.bytes:,}",
        "-" if figures.peak_ram_bytes is None else f"{figures.peak_ram_bytes:,}",
        "-" if figures.macs is None else f"{figures.macs:,}",
        "-" if figures.accuracy is None else f"{figures.accuracy:.4f}",
        "-" if figures.drop is None else f"{figures.drop:+.4f}",
        "-" if figures.sqnr_db is None else f"{figures.sqnr_db:.1f} dB",
        "[green]accepted[/green]"
        if figures.verdict == "accepted"
        else f"[red]{escape(' '.join(figures.refusals))}[/red]",
    ]
