"""``edgefleet demo``."""

from __future__ import annotations

import json
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edgefleet_contract.errors import UsageMalformed

app = typer.Typer(help="Watch a model go the whole way.", invoke_without_command=True)


class Quality(StrEnum):
    """What the second release of the demo is like."""

    BAD = "bad"
    GOOD = "good"


class Images(StrEnum):
    """What the demo feeds to one device at the end."""

    INVERTED = "inverted"
    NORMAL = "normal"


@app.callback()
def demo(
    devices: Annotated[int, typer.Option(min=2, max=20, help="How many devices to enroll.")] = 3,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server and the agents running.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
    second_release: Annotated[Quality, typer.Option(help="Whether 1.1.0 is any good.")] = Quality.BAD,
    images: Annotated[Images, typer.Option(help="What one device sees at the end.")] = Images.INVERTED,
    broker: Annotated[str, typer.Option(help="As of `edgefleet server run`.")] = "embedded",
    workdir: Annotated[Path | None, typer.Option(help="Keep all files here; by default a temporary folder.")] = None,
) -> None:
    """Compile a model for three targets, roll it out to a small fleet, halt a bad version, see drift."""
    from edgefleet.demo.story import Plan, tell  # noqa: PLC0415 - `--help` needs none of it
    from edgefleet.demo.summary import show  # noqa: PLC0415

    console = Console(stderr=True, quiet=False)
    folder = _work_folder(workdir)
    plan = Plan(
        devices=devices,
        second_release_good=second_release is Quality.GOOD,
        inverted=images is Images.INVERTED,
        broker=broker,
        keep=keep,
    )
    result = tell(plan, folder, console)
    if as_json:
        typer.echo(json.dumps(result.as_json()))
    else:
        show(result, Console())


def _work_folder(workdir: Path | None) -> Path:
    if workdir is None:
        return Path(tempfile.mkdtemp(prefix="edgefleet-demo-"))
    if workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
        raise UsageMalformed(f"The folder {str(workdir)!r} is in use", expected="a new or an empty folder")
    workdir.mkdir(parents=True, exist_ok=True)
    return workdir.resolve()
