"""What `edgefleet model compile` says in the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from edgefleet_compiler.cli.show import stderr
from edgefleet_hardware.units import format_bytes

if TYPE_CHECKING:
    from edgefleet_compiler.pipeline import Outcome
    from edgefleet_compiler.report.record import Report


_FIGURES = ("bytes", "SQNR", "accuracy", "x float")
_UNLIMITED = 1000  # characters; what a table would like to have is asked for regardless of the terminal


def outcomes_as_json(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """All reports; beside them, as in every command, the first error if there is one."""
    document: dict[str, object] = {"targets": [outcome.report for outcome in outcomes]}
    refusals = [refusal for outcome in outcomes for refusal in outcome.refusals]
    if refusals:
        document["error"] = refusals[0].as_json()
    return document


def show_outcomes(outcomes: Sequence[Outcome], console: Console) -> None:
    """What a person wants to know first: a row a target, or a block a target where the terminal is too narrow."""
    source = outcomes[0].report.source
    rows = [_figures(outcome) for outcome in outcomes]
    table = Table(box=box.SIMPLE_HEAD)
    for heading in rows[0]:
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*row.values())
    console.print(f"{escape(source.path)} ({source.format}, {format_bytes(source.bytes)})", soft_wrap=True)
    if Measurement.get(console, console.options.update(max_width=_UNLIMITED), table).maximum <= console.width:
        console.print(table)
    else:
        for row in rows:
            console.print(_block(row))
    for outcome in outcomes:
        console.print(f"{escape(outcome.report.target)}: {escape(str(outcome.folder))}", soft_wrap=True)
    for outcome in outcomes:
        for effect in _taken(outcome.report):
            console.print(escape(f"{outcome.report.target}: {effect}"), soft_wrap=True)
    for outcome in outcomes:
        if len(outcome.report.rungs) > 1:
            console.print(_rungs(outcome.report))


def _taken(report: Report) -> list[str]:
    """What was taken away of the model, a line each for what may change outputs and what does not."""
    lines = [] if report.compress is None else [report.compress.effect]
    return lines if report.lossless is None else [*lines, f"lossless pruning {report.lossless.effect}"]


def _figures(outcome: Outcome) -> dict[str, str]:
    """The cells of one target, by their headings."""
    report = outcome.report
    return {
        "target": f"[bold]{escape(report.target)}[/bold]",
        "verdict": "[red]refused[/red]" if outcome.refusals else "[green]accepted[/green]",
        "artifact": "-" if report.artifact is None else report.artifact.format,
        "recipe": _shipped(report),
        "size": "-" if report.artifact is None else format_bytes(report.artifact.bytes),
        "accuracy, source to artifact": _accuracy(report),
        "peak RAM": "-" if report.peak_ram_bytes is None else format_bytes(report.peak_ram_bytes),
    }


def _block(row: dict[str, str]) -> Table:
    """One target with its headings at the left."""
    block = Table(box=box.SIMPLE_HEAD, show_header=False)
    block.add_column(no_wrap=True)
    block.add_column()
    for heading, cell in row.items():
        block.add_row(heading.split(",")[0], cell)
    return block


def _rungs(report: Report) -> Table:
    """What was tried for a target, and what became of it."""
    table = Table(title=f"rungs tried for {escape(report.target)}", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("rung", "bytes", "SQNR", "accuracy", "x float", "outcome"):
        table.add_column(heading, no_wrap=heading != "outcome", justify="right" if heading in _FIGURES else "left")
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
        rungs = outcome.report.rungs
        shown = {step.warning for step in rungs} if len(rungs) > 1 else set()  # in the table of rungs
        for warning in outcome.report.warnings:
            if warning in shown:
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
