"""``edgefleet model compare``: what two model files make of the same inputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.markup import escape

from edgefleet_compiler.cli.show import Json, print_json, shown_progress, stdout

if TYPE_CHECKING:
    from edgefleet_compiler.checks.parity import Parity


def compare(
    first: Annotated[Path, typer.Argument(help="The reference: a model in any form that compile takes.")],
    second: Annotated[Path, typer.Argument(help="The model that is held against it.")],
    data: Annotated[Path, typer.Option(help="Inputs: .npz, or a folder of images.")],
    json: Json = False,
) -> None:
    """Run two models of equal inputs and outputs on the same cases, each in its own runtime, and compare."""
    from edgefleet_compiler.checks.compare import compare_files  # noqa: PLC0415 - loads both runtimes

    with shown_progress() as progress:
        parity = compare_files(first, second, data, progress)
    if json:
        figures = msgspec.to_builtins(parity)
        del figures["oracle"]
        figures["sqnr_undefined"] = _undefined(parity)
        print_json({"first": str(first), "second": str(second), "parity": figures})
        return
    console = stdout()
    console.print(f"{escape(str(second))} against {escape(str(first))}, {parity.n} cases")
    console.print(f"largest difference   {parity.max_abs:.6g}")
    sqnr = _undefined(parity) or f"{parity.sqnr_db:.1f} dB (the reference's mean removed)"
    console.print(f"signal to noise      {sqnr}")
    console.print(f"same largest output  {parity.argmax_agreement:.4f} of the cases")


def _undefined(parity: Parity) -> str | None:
    """Why there is no signal to noise ratio; None where there is one."""
    if parity.sqnr_db is not None:
        return None
    return "no noise" if parity.max_abs == 0 else "no signal: the reference gives the same in every case"
