"""What `edgefleet model compile` says in the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from edgefleet_compiler.cli.show import stderr, stdout
from edgefleet_hardware.units import format_bytes

if TYPE_CHECKING:
    from edgefleet_compiler.pipeline import Outcome
    from edgefleet_compiler.report.record import Report


_FIGURES = ("bytes", "SQNR", "accuracy", "x float")
_ACCURACY = "accuracy, source to artifact"


def outcomes_as_json(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """All reports; beside them, as in every command, the first error if there is one."""
    document: dict[str, object] = {"targets": [outcome.report for outcome in outcomes]}
    refusals = [refusal for outcome in outcomes for refusal in outcome.refusals]
    if refusals:
        document["error"] = refusals[0].as_json()
    return document


def show_outcomes(outcomes: Sequence[Outcome]) -> None:
    """A table with one row a target: what a person wants to know first."""
    source = outcomes[0].report.source
    title = f"{escape(source.path)} ({source.format}, {format_bytes(source.bytes)})"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("target", "verdict", "artifact", "recipe", "size", _ACCURACY, "peak RAM", "folder"):
        table.add_column(heading, overflow="fold", no_wrap=heading == _ACCURACY)
    for outcome in outcomes:
        report = outcome.report
        table.add_row(
            f"[bold]{escape(report.target)}[/bold]",
            "[red]refused[/red]" if outcome.refusals else "[green]accepted[/green]",
            "-" if report.artifact is None else report.artifact.format,
            _shipped(report),
            "-" if report.artifact is None else format_bytes(report.artifact.bytes),
            _accuracy(report),
            "-" if report.peak_ram_bytes is None else format_bytes(report.peak_ram_bytes),
            escape(str(outcome.folder)),
        )
    stdout().print(table)
    for outcome in outcomes:
        if len(outcome.report.rungs) > 1:
            stdout().print(_rungs(outcome.report))


def _rungs(report: Report) -> Table:
    """What was tried for a target, and what became of it."""
    table = Table(title=f"rungs tried for {escape(report.target)}", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("rung", "bytes", "SQNR", "accuracy", "x float", "outcome"):
        table.add_column(heading, overflow="fold", justify="right" if heading in _FIGURES else "left")
    for step in report.rungs:
        told = "[green]shipped[/green]" if step.outcome == "shipped" else step.outcome
        table.add_row(
            f"[bold]{step.rung}[/bold]",
            "-" if step.bytes is None else f"{step.bytes:,}",
            "-" if step.sqnr_db is None else f"{step.sqnr_db:.1f} dB",
            "-" if step.accuracy is None else f"{step.accuracy:.4f}",
            "-" if step.speed_ratio is None else f"{step.speed_ratio:.2f}",
            f"{told}: {escape(step.why)}" if step.why else told,
        )
    return table


def _shipped(report: Report) -> str:
    """The rung that was shipped, where there was a choice; else the recipe's scheme."""
    rungs = [step.rung for step in report.rungs if step.outcome == "shipped"]
    return rungs[0] if rungs and len(report.rungs) > 1 else report.recipe or "-"


def tell(outcomes: Sequence[Outcome]) -> None:
    """Warnings and refusals on stderr."""
    console = stderr()
    for outcome in outcomes:
        shown = len(outcome.report.rungs) > 1  # in the table of rungs
        for warning in outcome.report.warnings:
            if shown and any(warning.startswith(f"{step.rung} is not used: ") for step in outcome.report.rungs):
                continue
            console.print(
                f"[yellow]warning[/yellow]: {escape(outcome.report.target)}: {escape(warning)}", soft_wrap=True
            )
    for outcome in outcomes:
        for refusal in outcome.refusals:
            console.print(f"[red]error[/red]{escape(f'[{refusal.code}]: {refusal.text()}')}", soft_wrap=True)


def _accuracy(report: Report) -> str:
    accuracy = report.accuracy
    if accuracy is None:
        return "not measured"
    low, high = accuracy.ci95
    figures = f"{escape(accuracy.metric)} {accuracy.baseline:.4f} to {accuracy.compiled:.4f}"
    return f"{figures}\ndrop {accuracy.drop:+.4f} {escape(f'[{low:+.4f}, {high:+.4f}]')}"
