"""``edgefleet drift``: how the inputs that devices see differ from what the model was made for."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgefleet_server.cli import output
from edgefleet_server.cli.options import Data, Json, Server, group
from edgefleet_server.client import Client

app = group()
app.info.help = "Drift of the inputs that devices see."

_BLOCKS = " ▁▂▃▄▅▆▇█"


@app.command()
def show(
    device: Annotated[str | None, typer.Argument(help="One device, with its worst features.")] = None,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show the verdict on each device's last 24 hours, or the histograms of one device."""
    with Client(server, data) as client:
        found = client.get(f"/drift/{device}") if device else client.get("/drift")
    if as_json:
        output.print_json(found)
    elif device:
        _print_device(device, found)
    else:
        _print_verdicts(found)


def _print_verdicts(verdicts: list[dict[str, Any]]) -> None:
    if not verdicts:
        output.note("No device has sent a sketch of its inputs yet.")
        return
    rows = output.table("DEVICE", "VERDICT", ">SAMPLES", ">EFFECTIVE", ">DRIFTED", "WORST FEATURE", ">PSI")
    for verdict in verdicts:
        worst = verdict["worst"]
        rows.add_row(
            output.text(verdict["device_id"]),
            _verdict(verdict),
            output.text(verdict["samples"]),
            output.text(f"{verdict['effective_samples']:.0f}"),
            output.text(len(verdict["drifted"])),
            output.text(worst["name"] if worst else None),
            output.text(f"{worst['psi']:.3f}" if worst else None),
        )
    output.out().print(rows)


def _print_device(device: str, found: dict[str, Any]) -> None:
    if not found["features"]:
        output.note(f"{device} has sent no sketch of its inputs in the last 24 hours.")
        return
    if found["verdict"]:
        output.out().print(output.text(f"{device}  "), _verdict(found["verdict"]), sep="")
    rows = output.table("FEATURE", ">PSI", "REFERENCE", "LAST 24 HOURS")
    for feature in found["features"]:
        highest = max((*feature["reference"], *feature["observed"]))
        rows.add_row(
            output.text(feature["name"]),
            output.text(f"{feature['psi']:.3f}"),
            output.text(_spark(feature["reference"], highest)),
            output.text(_spark(feature["observed"], highest)),
        )
    output.out().print(rows)


def _verdict(verdict: dict[str, Any]) -> Any:
    if not verdict["enough"]:
        return output.text("not enough data", "dim")
    return output.state("drifted" if verdict["drifted"] else "stable")


def _spark(shares: list[float], highest: float) -> str:
    return "".join(_BLOCKS[round((len(_BLOCKS) - 1) * share / highest)] for share in shares)
