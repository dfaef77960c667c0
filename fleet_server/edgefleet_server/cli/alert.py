"""``edgefleet alert``: what a person should look at."""

from __future__ import annotations

from typing import Annotated

import typer

from edgefleet_server.cli import output
from edgefleet_server.cli.options import Data, Json, Server, group
from edgefleet_server.client import Client

app = group()
app.info.help = "Alerts: list, acknowledge."


@app.command("list")
def list_alerts(
    everything: Annotated[bool, typer.Option("--all", help="Also those acknowledged or resolved.")] = False,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List alerts, the newest first."""
    with Client(server, data) as client:
        alerts = client.get("/alerts", all=everything)
    if as_json:
        output.print_json(alerts)
        return
    if not alerts:
        output.note("Nothing needs attention.")
        return
    rows = output.table(">ID", "KIND", "STATE", "OPENED", ">TIMES", "WHAT")
    for alert in alerts:
        rows.add_row(
            output.text(alert["id"]),
            output.text(alert["kind"]),
            output.state(alert["state"]),
            output.ago(alert["opened_at"]),
            output.text(alert["count"]),
            output.text(alert["text"]),
        )
    output.out().print(rows)


@app.command()
def ack(
    alert_id: Annotated[int, typer.Argument(metavar="ID", help="As `alert list` shows it.")],
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take note of an alert: it is not shown again until its cause has gone and come back."""
    with Client(server, data) as client:
        alert = client.post(f"/alerts/{alert_id}/ack")
    if as_json:
        output.print_json(alert)
    else:
        output.out().print(output.text(f"Acknowledged {alert['id']}: {alert['text']}"))
