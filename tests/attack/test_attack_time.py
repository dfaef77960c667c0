"""Whoever is the broker, or has stolen the assignment key, plays with a device's time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgefleet_agent import timekeeping
from edgefleet_agent.folder import DataFolder
from edgefleet_contract import dsse, keys, messages, topics
from edgefleet_contract.messages import SignedTime, TimeRequest
from support.agent_fleet import FleetSide, Operator
from support.agent_runs import AgentRun
from support.unchanged import unchanged

pytestmark = pytest.mark.attack

DAY_MS = 86_400_000


class Asked(FleetSide):
    """A server that keeps the questions, so that somebody else can answer."""

    def __init__(self, folder: DataFolder, device: str) -> None:
        super().__init__(folder, device, [])
        self.questions: list[TimeRequest] = []

    def answer(self, topic: topics.Topic, payload: bytes) -> list[tuple[topics.Topic, bytes]]:
        if topic is topics.TIME_REQUEST:
            self.questions.append(messages.decode(payload, TimeRequest))
        return super().answer(topic, payload)


@dataclass
class Scene:
    """An agent that is connected and has asked for the time, which nobody has told it."""

    run: AgentRun
    side: Asked
    device: str

    def tell(self, told: SignedTime) -> None:
        self.run.network.send(topics.TIME, self.side.seal(told))
        self.run.settle()

    def clock(self) -> dict[str, object]:
        found = self.run.agent.status()["clock"]
        assert isinstance(found, dict)
        return found

    def nonce(self) -> str:
        return self.side.questions[-1].nonce

    def now(self) -> int:
        return self.run.clock.now_ms()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    folder, device = Operator().enrolled_folder(tmp_path / "data")
    side = Asked(folder, device)
    side.telling_time = False
    with AgentRun(folder, side) as run:
        run.settle()
        yield Scene(run, side, device)


def test_a_time_that_another_key_signed_is_dropped(scene: Scene) -> None:
    told = messages.encode(SignedTime(1, scene.device, scene.nonce(), scene.now() + 1000))
    with unchanged(scene.run.folder.root):
        for envelope in (dsse.sign(told, dsse.TIME, [keys.generate()]), told, b"", b"{}"):
            scene.run.network.send(topics.TIME, envelope)
            scene.run.settle()
        assert scene.clock()["source"] == "system"


def test_a_time_for_another_question_or_another_device_is_dropped(scene: Scene) -> None:
    with unchanged(scene.run.folder.root):
        scene.tell(SignedTime(1, scene.device, "another", scene.now()))
        scene.tell(SignedTime(1, "d-bbbbbbbbbbbbbbbb", scene.nonce(), scene.now()))
        assert scene.clock()["source"] == "system"
    scene.tell(SignedTime(1, scene.device, scene.nonce(), scene.now()))
    assert scene.clock()["source"] == "signed"


def test_an_answer_is_good_once_and_not_for_long(scene: Scene) -> None:
    scene.run.clock.ahead_s += timekeeping.ROUND_TRIP_S + 1
    with unchanged(scene.run.folder.root):
        scene.tell(SignedTime(1, scene.device, scene.nonce(), scene.now()))
        assert scene.clock()["source"] == "system"
    scene.run.clock.ahead_s += 60
    scene.run.settle()
    told = SignedTime(1, scene.device, scene.nonce(), scene.now())
    scene.tell(told)
    before = scene.clock()["offset_ms"]
    scene.run.clock.ahead_s += 20
    scene.tell(told)
    assert scene.clock()["offset_ms"] == pytest.approx(before, abs=100)


def test_a_stolen_assignment_key_makes_nothing_expire(scene: Scene) -> None:
    with unchanged(scene.run.folder.root):
        scene.tell(SignedTime(1, scene.device, scene.nonce(), scene.now() + 3650 * DAY_MS))
        clock = scene.clock()
        assert clock["source"] == "system"
        assert clock["held"] is not None


def test_a_broker_that_drops_the_servers_time_is_noticed(scene: Scene) -> None:
    scene.run.clock.ahead_s += timekeeping.STALE_AFTER_S + 1
    assert scene.run.settle().stale
    assert scene.clock()["stale"] is True
    scene.side.telling_time = True
    scene.run.network.connect()
    assert not scene.run.settle().stale


def test_days_without_a_network_are_nobodys_attack(scene: Scene) -> None:
    scene.run.network.cut()
    scene.run.agent.tick()
    scene.run.clock.ahead_s += 10 * 86_400
    scene.run.agent.tick()
    scene.run.network.connect()
    assert not scene.run.settle().stale


def test_time_does_not_go_back_behind_what_was_signed(scene: Scene) -> None:
    scene.tell(SignedTime(1, scene.device, scene.nonce(), scene.now()))
    scene.run.network.connect()
    scene.run.settle()
    with unchanged(scene.run.folder.root):
        scene.tell(SignedTime(1, scene.device, scene.nonce(), scene.now() - 30 * DAY_MS))
        assert abs(int(str(scene.clock()["offset_ms"]))) < 60_000
