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
from edgefleet_server.health import DiskProbe


@dataclass(frozen=True)
class Fleet(Core):
    """The parts that routes call.

    Attributes:
        wake: Tells the workers that an operator has changed something.
        broker_connected: Whether the broker has accepted this server.
        disk: Whether the disk takes what is written.
        devices_url: Where devices enroll.
    """

    authority: Authority
    enroller: Enroller
    gate: Gate
    wake: Callable[[], None]
    broker_connected: Callable[[], bool]
    disk: DiskProbe
    devices_url: str


def _fleet(request: Request) -> Fleet:
    fleet = request.app.state.fleet
    assert isinstance(fleet, Fleet)
    return fleet


FleetHere = Annotated[Fleet, Depends(_fleet)]
