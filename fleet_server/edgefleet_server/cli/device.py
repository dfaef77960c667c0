"""``edgefleet device``: claim tokens, devices and their tags; batches and departures in modules of their own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgefleet_contract.enrolment import VERSION, ClaimToken, encode_token
from edgefleet_server.cli import ask, device_batch, device_departure, output, trust
from edgefleet_server.cli.ask import Yes
from edgefleet_server.cli.device_departure import DeviceId
from edgefleet_server.cli.options import Data, Json, Server, group, milliseconds, pairs
from edgefleet_server.client import Client
from edgefleet_server.home import home
from edgefleet_server.publisher.publisher import Publisher

app = group()
app.info.help = "Devices: claim tokens, batches, list, tags, replace and retire."
app.add_typer(device_batch.app, name="batch")
for _act in (device_departure.revoke, device_departure.replace, device_departure.retire):
    app.command()(_act)


@app.command()
def token(
    expires: Annotated[str, typer.Option(help="How long it may be used: 30m, 24h, 7d.")] = "24h",
    tag: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE for the device that uses it; may be repeated.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Let this device back in, which came too late to renew its certificate.")
    ] = None,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a claim token: one device enrolls with it, once. It names the fleet's authority and your trust root."""
    request = {"life_ms": milliseconds("--expires", expires), "tags": pairs("--tag", tag or []), "device": device}
    publisher = Publisher(home())
    with Client(server, data) as client:
        state = trust.look(client, publisher)
        parts = client.post("/tokens", request)  # refused before keys are made
        root = trust.begin(client, publisher, state).root_digest or ""
    word = encode_token(ClaimToken(VERSION, parts["id"], parts["secret"], parts["authority"], root))
    place = "--again" if device else f"--server {parts['devices_url']}"
    command = f"edgefleet agent enroll {place} --token {word} --data DIR"
    if as_json:
        output.print_json(
            {"token": word, "id": parts["id"], "server": parts["devices_url"], "expires_at": parts["expires_at"]}
        )
    else:
        output.out().print(output.text(word), soft_wrap=True)
        output.note(f"One device, once, within {expires}. On the device:\n  {command}")


@app.command("list")
def list_devices(
    group_name: Annotated[str, typer.Option("--group", help="all, KEY=VALUE, or the name of a group.")] = "all",
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List devices and what they run."""
    with Client(server, data) as client:
        devices = _all_pages(client, group_name)
    if as_json:
        output.print_json(devices)
        return
    if not devices:
        output.note("No device yet. Next: edgefleet device token")
        return
    rows = output.table("DEVICE", "HARDWARE", "STATE", "RUNS", "SEEN", "TAGS")
    for device in devices:
        rows.add_row(
            output.text(device["id"]),
            output.text(device["hardware"]),
            output.state(device["state"]),
            output.text(device["release"]) if device["release"] else output.short(device["running"]),
            output.ago(device["last_seen"]),
            output.text(output.tags(device["tags"])),
        )
    output.out().print(rows)


@app.command()
def show(device_id: DeviceId, server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """Show one device: its twin, assignment and newest telemetry."""
    with Client(server, data) as client:
        device = client.get(f"/devices/{device_id}")
        newest = client.get(f"/devices/{device_id}/telemetry", limit=1)
    if as_json:
        output.print_json({**device, "telemetry": newest[0] if newest else None})
        return
    _print_device(device, newest[0] if newest else None)


@app.command()
def tag(
    device_id: DeviceId,
    put: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Tags to set.")] = None,
    *,
    remove: Annotated[list[str] | None, typer.Option(help="KEY to remove; may be repeated.")] = None,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Set or remove tags. The tag group=NAME makes the device a member of the group NAME."""
    with Client(server, data) as client:
        device = client.patch(
            f"/devices/{device_id}/tags", {"put": pairs("the tag", put or []), "remove": remove or []}
        )
    if as_json:
        output.print_json(device)
    else:
        output.out().print(output.text(f"{device['id']}  {output.tags(device['tags'])}"))


@app.command()
def erase(
    device_id: DeviceId, *, yes: Yes = False, server: Server = None, data: Data = None, as_json: Json = False
) -> None:
    """Delete all samples and telemetry of a device from the server, also from its disk. The device stays enrolled."""
    ask.confirm(f"All samples, telemetry and sketches of {device_id} are erased for good. It stays enrolled.", yes=yes)
    with Client(server, data) as client:
        erased = client.post(f"/devices/{device_id}/erase")
    if as_json:
        output.print_json(erased)
        return
    counts = ", ".join(f"{count} {what}" for what, count in erased.items())
    output.out().print(output.text(f"Erased of {device_id}: {counts}"))
    output.note("Copies and backups of the data folder made before still hold it.")


def _all_pages(client: Client, group_name: str) -> list[dict[str, Any]]:
    devices: list[dict[str, Any]] = []
    while page := client.get("/devices", group=group_name, after=devices[-1]["id"] if devices else ""):
        devices += page
    return devices


def _print_device(device: dict[str, Any], telemetry: dict[str, Any] | None) -> None:
    rows = output.properties()
    rows.add_row("device", output.text(device["id"]))
    rows.add_row("hardware", output.text(device["hardware"]))
    rows.add_row("state", output.state(device["state"]))
    rows.add_row("runs", output.text(f"{device['release'] or '-'}  {(device['running'] or '')[:12]}"))
    rows.add_row("assigned", output.short(device["desired"]))
    rows.add_row("sequence", output.text(f"{device['sequence']} (reports {device['reported_sequence']})"))
    rows.add_row("agent", output.text(device["agent"]))
    rows.add_row("runtimes", output.text(output.tags(device["runtimes"])))
    rows.add_row("tags", output.text(output.tags(device["tags"])))
    rows.add_row("seen", output.ago(device["last_seen"]))
    rows.add_row("certificate", output.text(f"until {output.day(device['certificate_expires'])}"))
    rows.add_row("key", output.text("in hardware" if device["key_in_hardware"] else "in a file"))
    printed = {name: part[:12] for name, part in device["fingerprint"].items()}
    rows.add_row("fingerprint", output.text(output.tags(printed)))
    for way in ("replaces", "replaced_by"):
        if device[way]:
            rows.add_row(way.replace("_", " "), output.text(device[way]))
    if device["error"]:
        rows.add_row("error", output.text(f"[{device['error']['code']}] {device['error']['text']}", "red"))
    if telemetry:
        latency = telemetry["latency_p95"]
        served = f"{telemetry['inferences']} inferences, {telemetry['errors']} errors"
        rows.add_row("newest window", output.text(served + (f", p95 {latency:.2f} ms" if latency is not None else "")))
    output.out().print(rows)
