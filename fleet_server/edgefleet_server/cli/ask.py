"""Acts that cannot be taken back: say what they cost, and ask."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.cli import output

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def confirm(what: str, *, yes: bool) -> None:
    """Say what will be lost, and ask; without a terminal only --yes goes on.

    Raises:
        UsageMalformed: Nobody is there to ask.
    """
    if yes:
        return
    output.note(what)
    if not sys.stdin.isatty():
        raise UsageMalformed("This cannot be taken back, and nobody is there to ask", remedy="Say --yes.")
    if not typer.confirm("Go on?", err=True):
        output.note("Nothing was done.")
        raise typer.Exit(0)
