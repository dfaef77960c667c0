"""What the routes of a server call, and how they get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from edgefleet_server.authority import Authority
from edgefleet_server.core import Core
from edgefleet_server.devices.enrolment import Enroller
from edgefleet_server.devices.hooks import Hooks
from edgefleet_server.devices.lifecycle import OnRevoked
from edgefleet_server.gate import Gate
from edgefleet_server.health import DiskProbe
from edgefleet_server.trust.online_keys import OnlineKeys


@dataclass(frozen=True)
class Fleet(Core):
    """The parts that routes call.

    Attributes:
        online_keys: The server's own, for metadata and assignments.
        wake: Tells the workers that an operator has changed something.
        wake_all: Tells them that trust has changed, so that what was signed before may have to be signed again.
        broker_connected: Whether the broker has accepted this server.
        hears_devices: Whether what devices send is taken from it.
        disk: Whether the disk takes what is written.
        devices_url: Where devices enroll.
        hooks: Programs that are asked whether a device of a batch may enroll.
        on_revoked: Told that devices have been revoked.
    """

    authority: Authority
    enroller: Enroller
    gate: Gate
    online_keys: OnlineKeys
    wake: Callable[[], None]
    wake_all: Callable[[], None]
    broker_connected: Callable[[], bool]
    hears_devices: Callable[[], bool]
    disk: DiskProbe
    devices_url: str
    hooks: Hooks
    on_revoked: OnRevoked


def _fleet(request: Request) -> Fleet:
    fleet = request.app.state.fleet
    assert isinstance(fleet, Fleet)
    return fleet


FleetHere = Annotated[Fleet, Depends(_fleet)]
