"""Senders that a person should look at: the broker let them in, for they hold a certificate of this fleet."""

from __future__ import annotations

from edgefleet_server.alerts import service
from edgefleet_server.audit.change import Change


def tell_unknown(change: Change, device: str) -> None:
    """A device that the server does not know."""
    service.raise_alert(
        change,
        kind="unknown",
        cause=f"unknown:{device}",
        text=f"Device {device} has a certificate of this fleet, and the server does not know it: it enrolled after the "
        "backup that the server was restored from. On the device, stop the agent, remove its data folder, and enroll "
        "it with a new token (`edgefleet device token`)",
    )


def tell_flood(change: Change, device: str) -> None:
    """A device that sends more than its share."""
    service.raise_alert(
        change,
        kind="flood",
        cause=f"flood:{device}",
        text=f"Device {device} sends more than its share; what is too much is not taken until it slows down",
    )
