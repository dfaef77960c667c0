"""What the routes of a server call, and how they get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from edgefleet_server.auth import Gate
from edgefleet_server.authority import Authority
from edgefleet_server.core import Core
from edgefleet_server.devices.enrolment import Enroller
from edgefleet_server.devices.hooks import Hooks
from edgefleet_server.devices.lifecycle import OnRevoked
from edgefleet_server.health import DiskProbe


@dataclass(frozen=True)
class Fleet(Core):
    """The parts that routes call.

    Attributes:
        wake: Tells the workers that an operator has changed something.
        broker_connected: Whether the broker has accepted this server.
        disk: Whether the disk takes what is written.
        devices_url: Where devices enroll.
        hooks: Programs that are asked whether a device of a batch may enroll.
        on_revoked: Told that devices have been revoked.
    """

    authority: Authority
    enroller: Enroller
    gate: Gate
    wake: Callable[[], None]
    broker_connected: Callable[[], bool]
    disk: DiskProbe
    devices_url: str
    hooks: Hooks
    on_revoked: OnRevoked


def _fleet(request: Request) -> Fleet:
    fleet = request.app.state.fleet
    assert isinstance(fleet, Fleet)
    return fleet


FleetHere = Annotated[Fleet, Depends(_fleet)]
