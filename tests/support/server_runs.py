"""Real fleet servers on loopback, and operators who type commands at them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest

from edgefleet.main import main
from edgefleet_server.config import ServerConfig
from edgefleet_server.server import FleetServer
from support.server_device import Identity, Outcome, SimulatedDevice, confirms, enroll

Value = TypeVar("Value")
PATIENCE = 90.0  # seconds: only a failing test waits that long


def until(look: Callable[[], Value], done: Callable[[Value], bool] = bool, patience: float = PATIENCE) -> Value:
    """Look again and again until ``done``; the last look's value."""
    deadline = time.monotonic() + patience
    while True:
        value = look()
        if done(value):
            return value
        assert time.monotonic() < deadline, f"still waiting, and the last look showed {value!r}"
        time.sleep(0.02)


class Operator:
    """Types commands at a server, in a home of their own."""

    def __init__(self, home: Path, data: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self.data = data
        self._capture = capture
        self.environment = {"EDGEFLEET_HOME": str(home), "EDGEFLEET_DATA": str(data)}

    def run(self, *words: str) -> tuple[int, str, str]:
        """Exit status, stdout and stderr of ``edgefleet WORDS``."""
        self._capture.readouterr()
        clean = {key: value for key, value in os.environ.items() if not key.startswith("EDGEFLEET_")}
        with mock.patch.dict(os.environ, {**clean, **self.environment}, clear=True):
            status = main(list(words))
        captured = self._capture.readouterr()
        return status, captured.out, captured.err

    def ask(self, *words: str) -> Any:
        """The JSON that a command prints; it must succeed."""
        status, out, err = self.run(*words, "--json")
        assert status == 0, err
        return json.loads(out)

    def refused(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit status and error of a command that must not succeed."""
        status, out, _ = self.run(*words, "--json")
        return status, json.loads(out)["error"]


class Site:
    """A running server, its operator and its devices."""

    def __init__(self, folder: Path, server: FleetServer, operator: Operator) -> None:
        self.folder = folder
        self.server = server
        self.operator = operator
        self.devices: list[SimulatedDevice] = []

    def identity(self, hardware: str = "x86-64", *tags: str) -> Identity:
        """Enroll a device without connecting it."""
        options = [word for tag in tags for word in ("--tag", tag)]
        token = self.operator.ask("device", "token", *options)
        return enroll(token["server"], token["token"], hardware)

    def device(self, hardware: str = "x86-64", *tags: str, outcome: Outcome = confirms) -> SimulatedDevice:
        """Enroll a device and connect it."""
        identity = self.identity(hardware, *tags)
        device = SimulatedDevice(self.folder / identity.device, identity, outcome)
        self.devices.append(device)
        return device

    def rollout(self, label: str) -> Any:
        return self.operator.ask("rollout", "show", label)

    def audit(self, **query: object) -> list[dict[str, Any]]:
        """The audit log, oldest first."""
        import httpx

        token = (self.folder / "data" / "admin.token").read_text().strip()
        with httpx.Client(trust_env=False) as client:
            answer = client.get(
                f"{self.server.addresses.console}/api/v1/audit",
                params={key: str(value) for key, value in query.items()},
                headers={"Authorization": f"Bearer {token}"},
            )
        assert answer.status_code == 200
        entries: list[dict[str, Any]] = answer.json()
        return entries


@contextmanager
def running_site(folder: Path, capture: pytest.CaptureFixture[str], broker: str = "mosquitto") -> Iterator[Site]:
    """A server on free ports of this machine; everything is stopped at the end."""
    config = ServerConfig(data=folder / "data", port=0, broker=broker)
    server = FleetServer(config)
    server.start()
    site = Site(folder, server, Operator(folder / "home", folder / "data", capture))
    try:
        yield site
    finally:
        for device in site.devices:
            device.close()
        server.stop()
