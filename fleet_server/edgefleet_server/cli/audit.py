"""``edgefleet audit``: who did what, and whether the log still says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from edgefleet_contract.errors import DataMalformed, DataNotFound, OutputUnwritable
from edgefleet_server.audit import chain
from edgefleet_server.cli import output
from edgefleet_server.cli.options import Data, Json, Server, group
from edgefleet_server.client import Client
from edgefleet_server.clock import as_datetime
from edgefleet_server.data_folder import write_durable

app = group()
app.info.help = "The audit log: list, verify, export."

CheckpointOption = Annotated[
    str | None,
    typer.Option(metavar="COUNT:HASH", help="What an earlier look printed: the log must go on from there."),
]


@app.command("list")
def list_entries(
    *,
    device: Annotated[str | None, typer.Option(help="Only acts on this device.")] = None,
    rollout: Annotated[str | None, typer.Option(help="Only acts on this rollout: r3.")] = None,
    last: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest.")] = 50,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List the newest acts, in their order."""
    with Client(server, data) as client:
        entries = client.get("/audit", device=device, rollout=rollout, last=last)
    if as_json:
        output.print_json(entries)
        return
    rows = output.table(">NO", "UTC", "WHO", "ACT", "FROM", "DEVICE", "ROLLOUT", "WHAT")
    for entry in entries:
        rows.add_row(
            output.text(entry["id"]), output.text(f"{as_datetime(entry['at']):%Y-%m-%d %H:%M:%S}"),
            output.text(entry["actor"]), output.text(entry["act"]), output.text(entry["origin"]),
            output.text(entry["device"]), output.text(entry["rollout"]),
            output.text(", ".join(f"{key} {value}" for key, value in entry["details"].items())),
        )  # fmt: skip
    output.out().print(rows)


@app.command()
def verify(
    *,
    checkpoint: CheckpointOption = None,
    file: Annotated[Path | None, typer.Option(help="Verify this export, and not the server's log.")] = None,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Check on this machine that no entry was altered, removed or moved.

    Keep the checkpoint that is printed elsewhere: only by it can be seen that the end of the log was cut off.
    """
    known = chain.parse_checkpoint(checkpoint) if checkpoint is not None else None
    if file is not None:
        end = chain.verify(_exported(file), known)
        if end.count == 0:  # not even who began it
            raise DataMalformed(f"There is no entry in {str(file)!r}", expected="an export, whole")
    else:
        with Client(server, data) as client:
            end = chain.verify(_pages(client), known)
    _tell(end, f"All {end.count} entries follow from each other.", as_json=as_json)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A JSON line for each entry. It must not exist yet.")],
    *,
    checkpoint: CheckpointOption = None,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write the whole log into a file, verified on the way."""
    lines: list[bytes] = []

    def noted(entries: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for entry in entries:
            lines.append(json.dumps(entry, sort_keys=True).encode() + b"\n")
            yield entry

    known = chain.parse_checkpoint(checkpoint) if checkpoint is not None else None
    if path.exists():  # an earlier export may be all that shows what was altered since
        raise OutputUnwritable(f"{str(path)!r} exists already", expected="a file that is not there yet")
    with Client(server, data) as client:
        end = chain.verify(noted(_pages(client)), known)
    try:
        write_durable(path, b"".join(lines))
    except OSError as cause:
        raise OutputUnwritable(f"The export {str(path)!r} cannot be written: {cause.strerror}") from cause
    _tell(end, f"Wrote {end.count} entries to {path}.", as_json=as_json)


def _tell(end: chain.Checkpoint, text: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"entries": end.count, "hash": end.hash, "checkpoint": str(end)})
        return
    output.out().print(output.text(text))
    output.out().print(output.text(f"Checkpoint {end}"), soft_wrap=True)


def _pages(client: Client, **query: str | None) -> Iterator[dict[str, Any]]:
    after = 0
    while page := client.get("/audit", after=after, **query):
        yield from page
        after = page[-1]["id"]


def _exported(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                entry = _entry(line)
                if entry is None:
                    raise DataMalformed(f"Line {number} of {str(path)!r} is no audit entry", expected="an export")
                yield entry
    except OSError as cause:
        raise DataNotFound(f"The export {str(path)!r} cannot be read: {cause.strerror}") from cause


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and {*chain.FIELDS, "hash"} <= entry.keys() else None
