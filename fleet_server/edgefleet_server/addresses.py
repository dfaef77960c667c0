"""Where a server can be reached, and which ports it keeps from one start to the next."""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefleet_contract.enrolment import BrokerAddress
from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.config import BROKER_PORT, DEVICE_PORT, ServerConfig, url_host
from edgefleet_server.data_folder import addresses_path, write_durable

_LOWEST_PORT, _HIGHEST_PORT = 15_000, 32_000
_TRIES = 100


@dataclass(frozen=True)
class Addresses:
    """Where a running server can be reached.

    Attributes:
        console: URL of console and API.
        devices: URL at which devices enroll.
        broker: Where devices find the broker.
    """

    console: str
    devices: str
    broker: BrokerAddress

    def as_json(self) -> dict[str, Any]:
        """For ``--json`` and ``addresses.json``."""
        broker = {"host": self.broker.host, "port": self.broker.port}
        return {"console": self.console, "devices": self.devices, "broker": broker}


@dataclass(frozen=True)
class Ports:
    """The ports to listen on; 0 takes a free one."""

    console: int
    devices: int
    broker: int


def choose_ports(config: ServerConfig) -> Ports:
    """Ports as configured. Where ``--port 0`` leaves them open, those of the last start, for devices remember them."""
    if config.port != 0:
        return Ports(config.port, config.device_port or DEVICE_PORT, config.broker_port or BROKER_PORT)
    kept = _read(config.data).get("ports", {})
    return Ports(
        kept.get("console", 0),
        config.device_port or kept.get("devices", 0),
        config.broker_port or kept.get("broker") or _free_port(config.host),
    )


def describe(config: ServerConfig, ports: Ports) -> Addresses:
    """The addresses of a server that listens on ``ports``."""
    scheme = "https" if config.certificate is not None else "http"
    external = config.external_broker
    broker = BrokerAddress(*external) if external else BrokerAddress(config.public_host, ports.broker)
    return Addresses(
        console=f"{scheme}://{url_host(config.console_host)}:{ports.console}",
        devices=config.public_url or f"https://{url_host(config.host)}:{ports.devices}",
        broker=broker,
    )


def remember(config: ServerConfig, addresses: Addresses, ports: Ports) -> None:
    """Write them down, for the next start and for commands on this machine."""
    kept = {"console": ports.console, "devices": ports.devices, "broker": ports.broker}
    content = json.dumps({**addresses.as_json(), "ports": kept}, indent=2) + "\n"
    write_durable(addresses_path(config.data), content.encode())


def console_of(data: Path) -> str | None:
    """The console of the server that last ran in ``data``; None when there was none."""
    console = _read(data).get("console")
    return console if isinstance(console, str) else None


def _read(data: Path) -> dict[str, Any]:
    try:
        content = json.loads(addresses_path(data).read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _free_port(host: str) -> int:
    """A port that is free now; the broker child cannot be handed a bound socket.

    It is taken below the range that Linux gives outgoing connections, so that none has it before the child does.
    """
    fault = ""
    for _ in range(_TRIES):
        port = _LOWEST_PORT + secrets.randbelow(_HIGHEST_PORT - _LOWEST_PORT)
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.bind(address)
                return port
        except OSError as cause:
            fault = cause.strerror or str(cause)
    raise UsageMalformed(f"The server cannot listen on {host}: {fault}", remedy="Check --host.")
