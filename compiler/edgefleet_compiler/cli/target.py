"""``edgefleet target``: the hardware that models can be compiled for."""

from __future__ import annotations

from importlib import resources
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from edgefleet_compiler.cli.show import Json, print_json, stdout
from edgefleet_hardware.profile import Runtime, TargetProfile, load_profile, target_names
from edgefleet_hardware.runtime_limits import limits_of

app = typer.Typer(help="Hardware to compile for.", no_args_is_help=True, add_completion=False)


@app.command("list")
def list_targets(json: Json = False) -> None:
    """List the target profiles that ship with edgefleet."""
    profiles = [load_profile(name) for name in target_names()]
    if json:
        print_json({"targets": profiles})
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("target", "what it is", "core", "RAM", "flash", "formats"):
        table.add_column(heading, no_wrap=True)
    for profile in profiles:
        table.add_row(
            f"[bold]{profile.name}[/bold]",
            profile.description,
            _core(profile),
            profile.ram or "-",
            profile.flash or "-",
            ", ".join(profile.formats),
        )
    stdout().print(table)


@app.command("show")
def show_target(
    name: Annotated[str, typer.Argument(help="A target's name, or the path of your own profile (.toml).")],
    json: Json = False,
    toml: Annotated[bool, typer.Option("--toml", help="Print the profile's own file, to start yours from.")] = False,
) -> None:
    """Show one target: every figure, and where it comes from."""
    profile = load_profile(name)
    if json:
        print_json(profile)
        return
    if toml and name in target_names():
        typer.echo((resources.files("edgefleet_hardware") / "targets" / f"{name}.toml").read_text(), nl=False)
        return
    table = Table(title=f"{profile.name}: {profile.description}", box=box.SIMPLE_HEAD, title_justify="left")
    for heading in ("figure", "value", "source"):
        table.add_column(heading)
    for figure in ("instruction_set", "extensions", "core", "cores", "clock", "ram", "flash"):
        value = getattr(profile, figure)
        shown = ", ".join(value) if isinstance(value, list) else str(value or "")
        table.add_row(figure, shown or "-", profile.sources.get(figure, ""))
    runtimes = "\n".join(_runtime(runtime) for runtime in profile.runtimes)
    table.add_row("runtimes", runtimes, profile.sources.get("runtimes", ""))
    table.add_row("formats", ", ".join(profile.formats), "the first is the default")
    table.add_row("computes with", ", ".join(profile.dtypes), "")
    table.add_row("hardware", ", ".join(profile.hardware), "what a device declares itself to be")
    console = stdout()
    console.print(table)
    for runtime in profile.runtimes:
        console.print(f"[bold]{runtime.name}[/bold] has {_operators(runtime)}", soft_wrap=True)


def _operators(runtime: Runtime) -> str:
    limits = limits_of(runtime.name)
    if limits.complete:
        return f"every operator of the opsets that it takes ({limits.source})"
    kinds = limits.operators if runtime.operators is None else runtime.operators
    return f"{len(kinds)} operators ({limits.source}): {', '.join(kinds)}"


def _runtime(runtime: Runtime) -> str:
    facts: list[str] = [runtime.format]
    facts += [f"opset <= {runtime.max_opset}"] if runtime.max_opset else []
    facts += [f"{runtime.kernels} kernels"] if runtime.kernels else []
    return f"{runtime.name} >= {runtime.minimum_version} ({', '.join(facts)})"


def _core(profile: TargetProfile) -> str:
    if not profile.core:
        return profile.instruction_set
    return f"{profile.cores} x {profile.core} {profile.clock or ''}".strip()
