"""``edgefleet device revoke | replace | retire``: acts that cannot be taken back, and what each of them costs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgefleet_server.cli import ask, output
from edgefleet_server.cli.ask import Yes
from edgefleet_server.cli.options import Data, Json, Server
from edgefleet_server.client import Client

DeviceId = Annotated[str, typer.Argument(metavar="DEVICE", help="As `device list` shows it: d-....")]


def revoke(
    device_id: DeviceId, *, yes: Yes = False, server: Server = None, data: Data = None, as_json: Json = False
) -> None:
    """Shut a device out for good: its key may be in the wrong hands. What it has told stays."""
    ask.confirm(
        f"{device_id} will be disconnected and never let in again. Its telemetry and history stay. "
        "The machine can only come back as a new device.",
        yes=yes,
    )
    with Client(server, data) as client:
        done = client.post(f"/devices/{device_id}/revoke")
    _print(done, as_json, f"{device_id} is revoked", "was revoked before")


def replace(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The device whose place is taken; it is revoked.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The device that takes it; it has enrolled.")],
    *,
    yes: Yes = False,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Let a new device take the place of an old one: tags, groups, rollouts, telemetry. The old one is revoked."""
    ask.confirm(
        f"{new} takes over tags, groups, places in rollouts and telemetry of {old}, and gets the model that it runs. "
        f"{old} will be disconnected and never let in again; telemetry that it has not sent yet is lost.",
        yes=yes,
    )
    with Client(server, data) as client:
        done = client.post(f"/devices/{old}/replace", {"by": new})
    served = f"; served by {', '.join(done['rollouts'])}" if done["rollouts"] else ""
    _print(done, as_json, f"{new} has the place of {old}{served}", "was replaced by it before")


def retire(
    device_id: DeviceId, *, yes: Yes = False, server: Server = None, data: Data = None, as_json: Json = False
) -> None:
    """End a device's life: it is revoked, and everything it has told is erased. Its id never comes back."""
    ask.confirm(
        f"{device_id} will be disconnected and never let in again. Its telemetry, samples, drift, alerts, "
        "tags and fingerprint are erased for good. Its id, its part in past rollouts and the audit log stay.",
        yes=yes,
    )
    with Client(server, data) as client:
        done = client.post(f"/devices/{device_id}/retire")
    erased = ", ".join(f"{count} {name}" for name, count in done["erased"].items() if count) or "nothing"
    _print(done, as_json, f"{device_id} is retired; erased: {erased}", "was retired before")


def _print(done: dict[str, Any], as_json: bool, said: str, before: str) -> None:
    if as_json:
        output.print_json(done)
    else:
        output.out().print(output.text(said if done["changed"] else f"{done['device']} {before}"))
