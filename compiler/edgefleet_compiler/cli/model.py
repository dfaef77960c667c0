"""``edgefleet model``: inspect, fit, compile, compare, benchmark and sweep model files."""

from __future__ import annotations

import typer

from edgefleet_compiler.cli.benchmark import benchmark
from edgefleet_compiler.cli.compare import compare
from edgefleet_compiler.cli.compile import compile_command
from edgefleet_compiler.cli.finetune import finetune
from edgefleet_compiler.cli.fit import fit
from edgefleet_compiler.cli.inspect import inspect
from edgefleet_compiler.cli.sweep import sweep_command

app = typer.Typer(
    help="Models: look into them, see where they fit, compile, compare and measure them.",
    no_args_is_help=True,
    add_completion=False,
)
app.command("inspect")(inspect)
app.command("fit")(fit)
app.command("compile")(compile_command)
app.command("finetune")(finetune)
app.command("compare")(compare)
app.command("benchmark")(benchmark)
app.command("sweep")(sweep_command)
