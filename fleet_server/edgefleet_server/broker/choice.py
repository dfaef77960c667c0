"""Which broker serves this fleet."""

from __future__ import annotations

from edgefleet_contract.errors import BrokerFailed, UsageMalformed
from edgefleet_server.broker import amqtt, mosquitto
from edgefleet_server.broker.settings import BrokerSettings
from edgefleet_server.config import is_loopback


def write_for_elsewhere(settings: BrokerSettings) -> None:
    """Write the configuration and access list that a mosquitto on another machine needs to serve this fleet."""
    mosquitto.write_for_elsewhere(settings)


def command_for(broker: str, settings: BrokerSettings) -> list[str]:
    """The command that runs the broker child, its configuration written.

    Args:
        broker: "embedded", "mosquitto" or "amqtt".
        settings: Where it listens.

    Raises:
        BrokerFailed: mosquitto was asked for, and is not installed.
        UsageMalformed: amqtt would listen beyond this machine.
    """
    executable = mosquitto.program()
    if broker == "mosquitto" and executable is None:
        raise BrokerFailed("mosquitto is not installed", remedy="Install it: `apt-get install mosquitto`.")
    if broker != "amqtt" and executable is not None:
        return mosquitto.prepare(settings, executable)
    if not is_loopback(settings.host):
        raise UsageMalformed(
            f"The host is {settings.host!r}, and amqtt serves this machine only",
            remedy="Install mosquitto (`apt-get install mosquitto`), or name a broker with --broker mqtts://HOST:PORT.",
        )
    return amqtt.prepare(settings)
