"""Devices that are connected and yet do not hear the server: somebody between them may drop what it sends."""

from __future__ import annotations

from edgefleet_server.alerts import service as alerts
from edgefleet_server.audit.change import Change


def note(change: Change, device: str, *, stale: bool) -> None:
    """Open an alert for a device that reports to be stale, and resolve it when it hears the server again."""
    cause = f"stale:{device}"
    if not stale:
        alerts.resolve(change, cause)
        return
    alerts.raise_alert(
        change,
        kind="stale",
        cause=cause,
        text=f"Device {device} reaches the broker, and the server's signed time has not reached it for days: the "
        "broker, or somebody who controls it, drops what the server sends",
        device=device,
    )
