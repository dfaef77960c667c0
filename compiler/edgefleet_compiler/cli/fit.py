"""``edgefleet model fit``: which targets hold a model, what binds, what it costs, and where it had better run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from edgefleet_compiler.cli import parse
from edgefleet_compiler.cli.model_options import InputShape
from edgefleet_compiler.cli.show import Json, print_json, shown_progress, stdout
from edgefleet_compiler.fit.words import span
from edgefleet_contract.errors import GateError
from edgefleet_hardware.units import format_bytes

if TYPE_CHECKING:
    from edgefleet_compiler.fit.record import FitReport, TargetFit

_LIMITS = "Limits, beside what the targets have"


def fit(
    model: Annotated[Path, typer.Argument(help="A model file, float or quantised.")],
    *,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            help="A target, or the path of your own profile; repeat for several. All by default; "
            "exit status 3 if one that was named does not hold the model.",
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Typical inputs (.npz or a folder of images); without, int8 scales are assumed.")
    ] = None,
    input_shape: InputShape = None,
    max_flash: Annotated[str | None, typer.Option(help="Largest artifact.", rich_help_panel=_LIMITS)] = None,
    max_ram: Annotated[
        str | None, typer.Option(help="Most working memory of an inference.", rich_help_panel=_LIMITS)
    ] = None,
    max_latency: Annotated[
        str | None,
        typer.Option(
            help="Longest inference; binds only where the whole estimate lies above.", rich_help_panel=_LIMITS
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Tell for each target whether it holds a model, what binds, what it costs and how sure that is."""
    from edgefleet_compiler.fit.answer import FitOptions, fit_model  # noqa: PLC0415 - heavy: onnx and numpy
    from edgefleet_compiler.fit.target import Limits  # noqa: PLC0415 - as above

    options = FitOptions(
        model=model,
        targets=tuple(target or ()),
        calibration=calibration,
        limits=Limits(
            flash=parse.size("--max-flash", max_flash),
            ram=parse.size("--max-ram", max_ram),
            latency=parse.duration("--max-latency", max_latency),
        ),
        input_shapes=parse.input_shapes(input_shape or []),
    )
    with shown_progress() as progress:
        report = fit_model(options, progress)
    if json:
        print_json(report)
    else:
        _show(report)
    if target and not all(each.fits for each in report.targets):
        raise typer.Exit(GateError.exit_status)


def _show(report: FitReport) -> None:
    console = stdout()
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("target", "fits", "artifact"):
        table.add_column(heading)
    for heading in ("flash", "RAM", "latency"):
        table.add_column(heading, justify="right")
    table.add_column("RAM is")
    for each in report.targets:
        table.add_row(f"[bold]{each.target}[/bold]", _verdict(each), *_figures(each))
    console.print(table)
    for told, targets in _bound(report).items():
        console.print(f"[red]{', '.join(targets)}[/red]  {escape(told)}", soft_wrap=True)
    console.print(_footnote(report), style="dim", soft_wrap=True)
    for place in report.places:
        console.print(f"\n[bold]For the {place.where}[/bold]")
        for reason in place.reasons:
            console.print(f"  {escape(reason)}", soft_wrap=True)


def _bound(report: FitReport) -> dict[str, list[str]]:
    """What binds beside sizes, which stand in the table, with the targets that it binds on."""
    bound: dict[str, list[str]] = {}
    for each in report.targets:
        for bind in (bind for bind in each.binds if bind.what not in ("flash", "RAM")):
            bound.setdefault(f"{bind.what}: {bind.told}", []).append(each.target)
    return bound


def _verdict(each: TargetFit) -> str:
    if each.fits:
        return "[green]yes[/green]"
    return f"[red]no: {', '.join(dict.fromkeys(bind.what for bind in each.binds))}[/red]"


def _figures(each: TargetFit) -> tuple[str, str, str, str, str]:
    cost, sure = each.cost, each.sure
    if cost is None or sure is None:
        return "-", "-", "-", "-", "-"
    latency = cost.latency
    return (
        f"{cost.recipe} {cost.format}",
        _of(cost.flash_bytes, each.flash_limit_bytes),
        "-" if cost.ram_bytes is None else _of(cost.ram_bytes, each.ram_limit_bytes),
        "-" if latency is None else span(latency),
        sure.ram,
    )


def _footnote(report: FitReport) -> str:
    told = "Latencies are estimates from published figures (--json has their sources); - where there are none."
    if report.calibrated or not any(each.sure and each.sure.size == "assumed scales" for each in report.targets):
        return told
    return f"int8 has assumed scales, for sizes and memory only: compiling takes --calibration. {told}"


def _of(size: int, limit: int | None) -> str:
    return format_bytes(size) if limit is None else f"{format_bytes(size)} {100 * size / limit:3.0f} %"
