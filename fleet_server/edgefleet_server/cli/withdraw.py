"""``edgefleet release withdraw``: the publisher's metadata cease to speak of a release."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgefleet_server.cli import ask, output, trust
from edgefleet_server.cli.ask import Yes
from edgefleet_server.cli.options import Data, Json, Server
from edgefleet_server.client import Client
from edgefleet_server.clock import system_clock
from edgefleet_server.home import home
from edgefleet_server.publisher.publisher import Publisher


def withdraw(
    label: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="As `release list` shows it.")],
    *,
    yes: Yes = False,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Withdraw a release for good, such as one that a thief of a key signed: no device takes it any more."""
    publisher = Publisher(home())
    with Client(server, data) as client:
        draft = publisher.withdrawal(trust.look(client, publisher).repository, label, system_clock())
        ask.confirm(
            f"No device will take {label} any more, its rollouts are halted and go back, and the version never comes "
            "back. A device that confirmed it runs it until you roll out another.",
            yes=yes,
        )
        result = trust.end(client, publisher, draft)
        release = client.get(f"/releases/{label}") if result["done"] else None
    if as_json:
        output.print_json({**result, "running_on": release["running_on"] if release else None})
        return
    trust.tell_end(draft, result)
    if release is not None:
        tell_running(release)


def tell_running(release: dict[str, Any]) -> None:
    """Name the devices that still run a withdrawn release."""
    if release["running_on"]:
        output.out().print(output.text(f"It still runs on {', '.join(release['running_on'])}.", "red"))
        output.note("Next: edgefleet rollout create --release NAME@VERSION --to DEVICE, of another release")
