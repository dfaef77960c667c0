"""Every MQTT topic in one table: direction, quality of service, retain flag, payload.

The broker's access rules, the agent's and the server's subscriptions and the documentation are made from it.
All of it works with MQTT 3.1.1 brokers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from edgefleet_contract import identifiers

ROOT = "fleet/v1"


@dataclass(frozen=True)
class Topic:
    """One row of the table.

    Attributes:
        name: How the code calls it.
        pattern: The topic with ``{device}``, ``{sha256}`` and ``{n}`` for its variable levels.
        direction: "up": a device publishes, the server subscribes. "down": the server publishes, that device
            subscribes. "all": the server publishes, every device may subscribe.
        qos: MQTT quality of service.
        retain: Whether the broker keeps the last message for late subscribers.
        payload: The type in ``messages``, ``trust`` or ``blocks``.
        meaning: One line for the documentation.
    """

    name: str
    pattern: str
    direction: Literal["up", "down", "all"]
    qos: Literal[0, 1]
    retain: bool
    payload: str
    meaning: str


REPORTED = Topic(
    "reported", f"{ROOT}/d/{{device}}/up/reported", "up", 1, False, "Reported in a DSSE envelope",
    "The device's reported twin: state, running digest, evidence; signed by the device key.",
)  # fmt: skip
TELEMETRY = Topic(
    "telemetry", f"{ROOT}/d/{{device}}/up/telemetry", "up", 1, False, "Telemetry",
    "A batch of telemetry records; kept on the device until acknowledged.",
)  # fmt: skip
SAMPLE = Topic(
    "sample", f"{ROOT}/d/{{device}}/up/sample", "up", 1, False, "SampleChunk",
    "A piece of a raw sample, sealed to the key that the bundle's consent names; kept until acknowledged.",
)  # fmt: skip
NEED = Topic(
    "need", f"{ROOT}/d/{{device}}/up/need", "up", 1, False, "Need",
    "Blocks that the device asks for now: its credit.",
)  # fmt: skip
TIME_REQUEST = Topic(
    "time", f"{ROOT}/d/{{device}}/up/time", "up", 1, False, "TimeRequest",
    "The device asks what time it is, with a nonce.",
)  # fmt: skip
DESIRED = Topic(
    "desired", f"{ROOT}/d/{{device}}/down/desired", "down", 1, True, "Desired",
    "The device's desired twin: its assignment, signed, and the release's proof.",
)  # fmt: skip
ACK = Topic(
    "ack", f"{ROOT}/d/{{device}}/down/ack", "down", 1, False, "Ack in a DSSE envelope",
    "What the server has committed of a stream; only now may the device forget it.",
)  # fmt: skip
TIME = Topic(
    "time", f"{ROOT}/d/{{device}}/down/time", "down", 0, False, "SignedTime in a DSSE envelope",
    "The answer to one request for the time; an answer that comes late is worth nothing.",
)  # fmt: skip
BLOCK = Topic(
    "blk", f"{ROOT}/d/{{device}}/down/blk", "down", 0, False, "a block (see blocks)",
    "A block for one device.",
)  # fmt: skip
BLOB = Topic(
    "blob", f"{ROOT}/blob/{{sha256}}/{{n}}", "all", 0, False, "a block (see blocks)",
    "A block for whoever listens.",
)  # fmt: skip

TOPICS: tuple[Topic, ...] = (REPORTED, TELEMETRY, SAMPLE, NEED, TIME_REQUEST, DESIRED, ACK, TIME, BLOCK, BLOB)

_UP = re.compile(rf"{re.escape(ROOT)}/d/({identifiers.DEVICE_ID.pattern})/up/([a-z]+)")


def of(topic: Topic, device: str) -> str:
    """The topic of one device.

    Raises:
        ValueError: ``device`` is no device id (a wildcard in it would reach others).
    """
    if not identifiers.is_device_id(device):
        raise ValueError(f"{device!r} is no device id")
    return topic.pattern.format(device=device)


def parse_up(text: str) -> tuple[Topic, str] | None:
    """The row and the device of an upward topic; None if it is none of ours."""
    match = _UP.fullmatch(text)
    if match is None:
        return None
    topic = next((row for row in TOPICS if row.direction == "up" and row.name == match[2]), None)
    return (topic, match[1]) if topic else None


def server_subscriptions() -> list[tuple[str, int]]:
    """Filters and QoS that the server subscribes to."""
    return [(row.pattern.format(device="+"), row.qos) for row in TOPICS if row.direction == "up"]


def device_subscriptions(device: str) -> list[tuple[str, int]]:
    """Filters and QoS that one device subscribes to at connection."""
    return [(of(row, device), row.qos) for row in TOPICS if row.direction == "down"]
