"""``edgefleet rollout``: bring a release to a group, in stages."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from edgefleet_contract.bundle import transfer_digest
from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.cli import output, rollout_view
from edgefleet_server.cli.options import Data, Json, Server, group, milliseconds, percent
from edgefleet_server.client import Client
from edgefleet_server.rollouts.vectors_file import check_labelled

app = group()
app.info.help = "Rollouts in stages."

Label = Annotated[str, typer.Argument(metavar="ROLLOUT", help="As `rollout list` shows it: r1.")]


@app.command()
def create(
    *,
    release: Annotated[str, typer.Option(help="NAME@VERSION.")],
    to: Annotated[str, typer.Option(help="all, KEY=VALUE (a tag), or NAME (short for the tag group=NAME).")],
    stage: Annotated[
        list[str] | None,
        typer.Option(help="Share of the group, such as 10%; repeated, growing to 100%. Default: 10%, 50%, 100%."),
    ] = None,
    success: Annotated[
        float, typer.Option(help="Least share of executed deployments that succeed, for a stage to pass.")
    ] = 0.9,
    error: Annotated[
        float, typer.Option(help="Largest share of executed deployments that may fail; more halts.")
    ] = 0.1,
    probation: Annotated[str, typer.Option(help="How long a confirmed device is watched: 10m.")] = "10m",
    vectors: Annotated[
        Path | None,
        typer.Option(
            help="Labelled cases (.npz) that judge the release. Default: the baseline vectors of what runs now."
        ),
    ] = None,
    start: Annotated[bool, typer.Option(help="Start at once.")] = True,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Plan a rollout over the devices that the group has now, and start it."""
    if not (math.isfinite(success) and math.isfinite(error)):
        raise UsageMalformed(f"The thresholds are {success} and {error}", expected="shares, such as 0.9 and 0.1")
    request: dict[str, Any] = {
        "release": release,
        "to": to,
        "success": success,
        "error": error,
        "probation_ms": milliseconds("--probation", probation),
        "start": start,
    }
    if stage:
        request["stages"] = [percent("--stage", text) for text in stage]
    with Client(server, data) as client:
        if vectors is not None:
            request["vectors"] = _upload_vectors(client, vectors)
        rollout = client.post("/rollouts", request)
    if as_json:
        output.print_json(rollout)
        return
    rollout_view.print_rollout(rollout)
    skipped = {deployment["hardware"] for deployment in rollout["deployments"] if deployment["state"] == "skipped"}
    if skipped:
        count, of = rollout["counts"]["skipped"], len(rollout["deployments"])
        output.note(f"Warning: {count} of {of} devices are skipped: no bundle for {', '.join(sorted(skipped))}.")
    verb = "watch" if start else "start"
    output.note(f"Next: edgefleet rollout {verb} {rollout['id']}")


@app.command("list")
def list_rollouts(server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """List rollouts, the newest first."""
    with Client(server, data) as client:
        rollouts = client.get("/rollouts")
    if as_json:
        output.print_json(rollouts)
        return
    if not rollouts:
        output.note("No rollout yet. Next: edgefleet rollout create --release NAME@VERSION --to all")
        return
    rollout_view.print_list(rollouts)


@app.command()
def show(label: Label, server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """Show a rollout, its stages and its devices."""
    with Client(server, data) as client:
        rollout = client.get(f"/rollouts/{label}")
    if as_json:
        output.print_json(rollout)
    else:
        rollout_view.print_rollout(rollout)


@app.command()
def watch(
    label: Label,
    interval: Annotated[str, typer.Option(help="How often to look.")] = "1s",
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Watch a rollout until it has ended. Exit status 0 when it finished, else 3: halted, aborted, rolled back."""
    step = milliseconds("--interval", interval) / 1000
    with Client(server, data) as client:
        rollout = rollout_view.watch(lambda: client.get(f"/rollouts/{label}"), step, quiet=as_json)
    if as_json:
        output.print_json(rollout)
    if rollout["state"] != "finished":
        raise typer.Exit(3)


@app.command()
def start(label: Label, server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """Start a rollout that was created with --no-start."""
    _act("start", label, server, data, as_json=as_json)


@app.command()
def pause(label: Label, server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """Hold new stages back. What is under way goes on, and may still halt the rollout."""
    _act("pause", label, server, data, as_json=as_json)


@app.command()
def resume(label: Label, server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """Let a paused rollout go on."""
    _act("resume", label, server, data, as_json=as_json)


@app.command()
def abort(label: Label, server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """End a rollout for good. Devices that have succeeded keep the release, all others go back."""
    _act("abort", label, server, data, as_json=as_json)


@app.command()
def rollback(label: Label, server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """End a rollout for good, and bring every device back to what it confirmed before."""
    _act("rollback", label, server, data, as_json=as_json)


def _act(verb: str, label: str, server: str | None, data: Path | None, *, as_json: bool) -> None:
    with Client(server, data) as client:
        rollout = client.post(f"/rollouts/{label}/{verb}")
    if as_json:
        output.print_json(rollout)
    else:
        rollout_view.print_rollout(rollout)


def _upload_vectors(client: Client, path: Path) -> str:
    check_labelled(path, f"The vectors {str(path)!r}")  # the server does so too, once they have been sent
    sha256, _ = transfer_digest(path)
    client.upload(sha256, path)
    return sha256
