"""amqtt as the broker child: pure Python, nothing to install, for a fleet on this machine only."""

from __future__ import annotations

import json
import sys

from edgefleet_server.broker.settings import BrokerSettings
from edgefleet_server.data_folder import write_durable


def prepare(settings: BrokerSettings) -> list[str]:
    """Write the configuration; returns the command that runs amqtt with it."""
    configuration = settings.folder / "amqtt.json"
    content = {
        "bind": f"{settings.host}:{settings.port}",  # no brackets around IPv6: amqtt would keep them
        "cafile": str(settings.authority),
        "certfile": str(settings.listener.certificate),
        "keyfile": str(settings.listener.key),
        "revocations": str(settings.revocations),
    }
    write_durable(configuration, json.dumps(content, indent=2).encode())
    return [sys.executable, "-P", "-m", "edgefleet_server.broker.amqtt_child", str(configuration)]
