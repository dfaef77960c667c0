"""A broker in an attacker's hands, with everything that the server may do there: floods, garbage, forgeries, giants."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgefleet_agent.folder import DataFolder
from edgefleet_contract import blocks, dsse, keys, messages, topics
from edgefleet_contract.blocks import Block
from edgefleet_contract.messages import Ack, SignedTime
from support.agent_broker import AgentProcess, Broker, ServerLink, eventually, run_command
from support.agent_fleet import FleetSide, Operator
from support.unchanged import unchanged

pytestmark = [pytest.mark.attack, pytest.mark.integration]

ROOM_KB = 24 * 1024  # that an agent may grow by under any flood: its inbox holds 4 MB of blocks, the rest is Python's


@dataclass
class Scene:
    """An agent that is connected, and the attacker's connection to its broker."""

    agent: AgentProcess
    link: ServerLink
    folder: DataFolder
    device: str

    def send(self, topic: topics.Topic, payload: bytes, qos: int = 0, *, retain: bool = False) -> None:
        name = topics.of(topic, self.device)
        self.link._client.publish(name, payload, qos, retain).wait_for_publish(20)

    def resident_kb(self) -> int:
        status = Path(f"/proc/{self.agent.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))

    def connected(self) -> bool:
        return bool(json.loads(run_command("status", "--data", self.folder.root, "--json").stdout)["connected"])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    operator = Operator()
    broker = Broker(tmp_path, operator)
    broker.start()
    folder, device = operator.enrolled_folder(tmp_path / "data", broker=broker.address)
    link = ServerLink(tmp_path, operator, broker.address, device, FleetSide(folder, device, []))
    agent = AgentProcess(folder.root)
    link.until(lambda report: report.state == "idle")
    eventually(folder.floor.exists, "the first signed time is kept")
    yield Scene(agent, link, folder, device)
    agent.kill()
    link.close()
    broker.stop()


def garbage(device: str) -> list[tuple[topics.Topic, bytes]]:
    """What is no message, and what nobody who may has signed."""
    thief = keys.generate()
    ack = messages.encode(Ack(1, device, "telemetry", "0123456789abcdef", 1 << 40))
    told = messages.encode(SignedTime(1, device, "n", 1 << 45))
    return [
        (topics.ACK, ack),
        (topics.ACK, dsse.sign(ack, dsse.ACK, [thief])),
        (topics.TIME, dsse.sign(told, dsse.TIME, [thief])),
        (topics.DESIRED, b'{"v":1,"assignment":' + dsse.sign(b"{}", dsse.ASSIGNMENT, [thief]) + b',"proof":null}'),
        *((topic, payload) for topic in (topics.DESIRED, topics.ACK, topics.TIME, topics.BLOCK)
          for payload in (b"", b"\x00\xff" * 500, b"[" * 100_000, b'{"v":9}', b"null")),
    ]  # fmt: skip


def test_garbage_and_forgeries_change_nothing_and_the_agent_goes_on(scene: Scene) -> None:
    with unchanged(scene.folder.root):
        for retain in (False, True):
            for topic, payload in garbage(scene.device):
                scene.send(topic, payload, 1, retain=retain)
        seen = len(scene.link.side.reports)
        scene.send(topics.DESIRED, b'{"v":1,"assignment":{},"proof":null}', 1)
        eventually(lambda: len(scene.link.side.reports) > seen, "a report of what was refused")
        assert scene.connected()


def test_a_flood_costs_no_memory_and_no_disk(scene: Scene) -> None:
    before = scene.resident_kb()
    other = Block("c" * 64, 0, 1 << 30, os.urandom(blocks.BLOCK_BYTES))
    with unchanged(scene.folder.root):
        for _ in range(600):  # 75 MB of blocks of another file, and as much of everything else
            scene.send(topics.BLOCK, blocks.encode(other))
            scene.send(topics.ACK, os.urandom(64 * 1024))
            scene.send(topics.TIME, os.urandom(64 * 1024))
        assert scene.connected()
    assert scene.resident_kb() - before < ROOM_KB


def test_a_giant_is_not_taken_into_memory(scene: Scene) -> None:
    before = scene.resident_kb()
    with unchanged(scene.folder.root):
        scene.send(topics.DESIRED, bytes(100 * 1024 * 1024))
        eventually(scene.connected, "connected again")
    assert scene.resident_kb() - before < ROOM_KB
