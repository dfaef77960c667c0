"""An attacker who holds the broker, or a stretch of the network, and has no key: what they can do is delay."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgefleet_agent.inbox import Inbox, Received
from edgefleet_agent.record import load_record
from edgefleet_contract import blocks, topics
from edgefleet_contract.blocks import BLOCK_BYTES, WINDOW, Block
from edgefleet_contract.topics import Topic
from support.agent_fleet import FleetSide, Operator
from support.agent_runs import AgentRun
from support.bundles import make_bundle, release_of
from support.unchanged import unchanged

pytestmark = pytest.mark.attack

PADDING = 6 * BLOCK_BYTES
UNDER_WAY = ("download", "state.json", "floor.json", "trust")  # what an honest assignment may change by itself


@dataclass
class Scene:
    """A device that serves 1.0.0 and is told to fetch 2.0.0, whose blocks the attacker holds back."""

    operator: Operator
    device: str
    run: AgentRun
    newer: Path
    confirmed: str

    @property
    def transfer(self) -> str:
        """SHA-256 of the file that the device wants."""
        return release_of([self.newer]).bundles[0].sha256

    def send(self, index: int, data: bytes, total: int) -> None:
        """A block of the wanted file, as the attacker would have it."""
        payload = blocks.encode(Block(self.transfer, index, total, data))
        self.run.network.send(topics.BLOCK, payload)
        self.run.settle()

    def serves(self) -> bool:
        """Whether the model that was confirmed first still answers."""
        return self.run.agent.served.is_ready and load_record(self.run.folder).running_digest == self.confirmed


def parts_of(path: Path) -> list[bytes]:
    """A file in blocks."""
    data = path.read_bytes()
    return [data[start : start + BLOCK_BYTES] for start in range(0, len(data), BLOCK_BYTES)]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    operator = Operator()
    folder, device = operator.enrolled_folder(tmp_path / "data")
    older = make_bundle(tmp_path, version="1.0.0", runtime="litert")
    newer = make_bundle(tmp_path, version="2.0.0", runtime="litert", padding=PADDING)
    side = FleetSide(folder, device, [older.read_bytes(), newer.read_bytes()])
    side.desired = operator.assign(device, [older], 1)
    with AgentRun(folder, side) as run:
        assert run.settle().state == "confirmed"
        side.withhold = True
        run.network.send(topics.DESIRED, operator.assign(device, [newer], 2))
        assert run.settle().state == "downloading"
        yield Scene(operator, device, run, newer, release_of([older]).bundles[0].digest)


def test_endless_data_fills_neither_disk_nor_memory(scene: Scene) -> None:
    total = scene.newer.stat().st_size
    with unchanged(scene.run.folder.root):
        for index in (0, 1, 1000, 1 << 20):
            scene.send(index, bytes(BLOCK_BYTES), 1 << 40)
            scene.run.network.send(topics.BLOCK, os.urandom(BLOCK_BYTES + 100))
            scene.run.settle()
    assert sum(path.stat().st_size for path in scene.run.folder.download.iterdir()) <= total
    assert scene.serves()


def test_a_flood_of_messages_takes_the_room_of_a_few() -> None:
    inbox = Inbox()
    for number in range(20_000):
        inbox.put(Received(topics.BLOCK, number.to_bytes(4, "big")))
        inbox.put(Received(topics.DESIRED, number.to_bytes(4, "big")))
    kept = []
    while (item := inbox.get(0)) is not None:
        assert isinstance(item, Received)
        kept.append(item)
    assert len(kept) <= 2 * WINDOW + 1
    assert [item.payload for item in kept if item.topic is topics.DESIRED] == [(19_999).to_bytes(4, "big")]


def test_blocks_of_another_file_under_the_right_name_are_never_run(scene: Scene) -> None:
    """Mix and match: a whole and sound bundle, block by block of the right length, which is not the one assigned."""
    folder, total = scene.run.folder, scene.newer.stat().st_size
    other = make_bundle(scene.newer.parent, version="2.0.1", runtime="litert", padding=PADDING)
    assert other.stat().st_size == total
    with unchanged(folder.root, apart_from=UNDER_WAY):
        for _ in range(4):
            for index, part in enumerate(parts_of(other)):
                scene.send(index, part, total)
    assert scene.run.side.reports[-1].state != "confirmed"
    assert scene.serves()


def test_slow_retrieval_holds_up_neither_serving_nor_a_newer_assignment(scene: Scene) -> None:
    total = scene.newer.stat().st_size
    for index, part in enumerate(parts_of(scene.newer)[:-1]):
        scene.run.clock.ahead_s += 3600  # a block an hour
        scene.send(index, part, total)
        assert scene.serves()
    assert scene.run.side.reports[-1].state == "downloading"
    scene.run.side.withhold = False
    better = make_bundle(scene.newer.parent, version="3.0.0", runtime="litert", padding=10)
    scene.run.side.offer(better.read_bytes())
    scene.run.network.send(topics.DESIRED, scene.operator.assign(scene.device, [better], 3))
    confirmed = scene.run.until(lambda report: report.sequence == 3 and report.state == "confirmed")
    assert confirmed.running == release_of([better]).bundles[0].digest


def test_configuration_that_comes_through_the_broker_is_none(scene: Scene) -> None:
    """There is no topic for it: settings come from the device's own file, and what changes behaviour is signed."""
    invented = [
        Topic(name, f"fleet/v1/d/{{device}}/down/{name}", "down", 1, True, "json", "invented")
        for name in ("config", "command", "broker", "root")
    ]
    with unchanged(scene.run.folder.root):
        for topic in invented:
            scene.run.network.send(topic, b'{"v":1,"broker":{"host":"evil","port":8883},"listen":"0.0.0.0:80"}')
            assert scene.run.inbox.get(0) is None
    assert scene.serves()
