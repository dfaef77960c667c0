"""How rollouts look in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from edgefleet_server.cli import output
from edgefleet_server.clock import as_datetime, system_clock

_ORDER = (
    "succeeded", "probation", "trial", "verifying", "downloading", "assigned", "waiting", "failed", "rolling_back",
    "rolled_back", "withdrawn", "stranded", "superseded", "skipped",
)  # fmt: skip
_BAR = {
    "succeeded": "green", "probation": "cyan", "trial": "blue", "verifying": "blue", "downloading": "blue",
    "assigned": "blue", "failed": "red", "stranded": "red", "rolling_back": "yellow", "rolled_back": "yellow",
}  # fmt: skip
_ENDED_EARLY = ("halted", "aborted", "rolled_back")
_WIDTH = 24
_DEVICES_SHOWN = 50


def print_list(rollouts: list[dict[str, Any]]) -> None:
    """All rollouts, one a line."""
    rows = output.table("ROLLOUT", "RELEASE", "TO", "STATE", "CREATED", "DEVICES")
    for rollout in rollouts:
        rows.add_row(
            output.text(rollout["id"]),
            output.text(rollout["release"]),
            output.text(rollout["to"]),
            output.state(rollout["state"]),
            output.ago(rollout["created_at"]),
            output.states(rollout["counts"], _ORDER),
        )
    output.out().print(rows)


def print_rollout(rollout: dict[str, Any]) -> None:
    """One rollout, its stages and its devices."""
    output.out().print(render(rollout))


def render(rollout: dict[str, Any]) -> Group:
    """A rollout as lines."""
    heading = Text.assemble((f"{rollout['id']}  {rollout['release']}", "bold"), f" to {rollout['to']}  ")
    heading.append_text(output.state(rollout["state"]))
    if rollout["state"] in _ENDED_EARLY:
        heading.append(f"  {_way_back(rollout)}", style="red" if rollout["counts"].get("stranded") else "yellow")
    lines = [heading]
    if rollout["reason"]:
        lines.append(output.text(rollout["reason"], "red" if rollout["state"] == "halted" else "yellow"))
    judged = f"vectors ({rollout['vectors']['origin']})" if rollout["vectors"] else "health checks, without vectors"
    lines.append(
        output.text(
            f"success at least {rollout['success']:.0%}, errors at most {rollout['error']:.0%}, "
            f"probation {output.duration(rollout['probation_ms'])}; judged by {judged}",
            "dim",
        )
    )
    stages = output.table("STAGE", ">SHARE", ">DEVICES", "", "")
    for number, stage in enumerate(rollout["stages"], start=1):
        started = "" if stage["started_at"] else "dim"
        stages.add_row(
            output.text(number, started),
            output.text(f"{stage['percent']:g}%", started),
            output.text(stage["devices"], started),
            _bar(stage["counts"], stage["devices"]),
            output.states(stage["counts"], _ORDER),
        )
    return Group(*lines, stages, _devices(rollout["deployments"]))


def watch(look: Callable[[], dict[str, Any]], step: float, *, quiet: bool) -> dict[str, Any]:
    """Show a rollout again and again until nothing moves any more; returns how it stood then.

    Args:
        look: Asks the server.
        step: Seconds between two looks.
        quiet: Whether to show nothing.
    """
    rollout = look()
    if quiet:
        while not has_ended(rollout):
            time.sleep(step)
            rollout = look()
        return rollout
    if not sys.stdout.isatty():
        return _log_changes(rollout, look, step)
    with Live(render(rollout), console=output.out(), auto_refresh=False) as live:
        while not has_ended(rollout):
            time.sleep(step)
            rollout = look()
            live.update(render(rollout), refresh=True)
    return rollout


def _log_changes(rollout: dict[str, Any], look: Callable[[], dict[str, Any]], step: float) -> dict[str, Any]:
    """A line for each change, for files and pipes; then the rollout as it ended."""
    told = ""
    while True:
        counts = output.states(rollout["counts"], _ORDER).plain.strip()
        line = f"{rollout['id']}  {rollout['state'].replace('_', ' ')}  {counts}"
        if line != told:
            output.line(f"{as_datetime(system_clock()):%Y-%m-%dT%H:%M:%SZ}  {line}")
            told = line
        if has_ended(rollout):
            print_rollout(rollout)
            return rollout
        time.sleep(step)
        rollout = look()


def has_ended(rollout: dict[str, Any]) -> bool:
    """Whether nothing is left to wait for: finished, or gone back as far as it can."""
    gone_back = rollout["state"] in _ENDED_EARLY and rollout["undone_at"] is not None
    return rollout["state"] == "finished" or gone_back


def _way_back(rollout: dict[str, Any]) -> str:
    if rollout["undone_at"] is None:
        return "going back"
    counts = rollout["counts"]
    left = [f"{counts[state]} {state}" for state in ("stranded", "succeeded") if counts.get(state)]
    return f"gone back, except {' and '.join(left)}" if left else "gone back"


def _bar(counts: dict[str, int], total: int) -> Text:
    bar, filled = Text(), 0
    for state in _ORDER:
        if state in _BAR and counts.get(state):
            width = max(1, round(_WIDTH * counts[state] / max(1, total)))
            width = min(width, _WIDTH - filled)
            bar.append("━" * width, style=_BAR[state])
            filled += width
    return bar.append("━" * (_WIDTH - filled), style="bright_black")


def _devices(deployments: list[dict[str, Any]]) -> Group | Text:
    if not deployments:
        return Text()
    rows = output.table("DEVICE", "HARDWARE", ">STAGE", "STATE", "WHY")
    for deployment in deployments[:_DEVICES_SHOWN]:
        rows.add_row(
            output.text(deployment["device"]),
            output.text(deployment["hardware"]),
            output.text(deployment["stage"]),
            output.state(deployment["state"]),
            output.text(deployment["why"], "dim"),
        )
    left = len(deployments) - _DEVICES_SHOWN
    return Group(Text(), rows, *([output.text(f"and {left} more; --json shows all", "dim")] if left > 0 else []))
