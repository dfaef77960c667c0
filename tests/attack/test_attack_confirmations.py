"""What was confirmed is not forgotten: the disk is full, or power fails, just when the floors are to be raised."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgefleet_agent.disk import Disk
from edgefleet_agent.record import load_record
from edgefleet_agent.trust_store import load_floor
from edgefleet_contract import topics
from edgefleet_contract.errors import DiskFailed
from edgefleet_contract.trust import Floor, highest
from support.agent_fleet import FleetSide, Operator
from support.agent_runs import AgentRun
from support.bundles import ISSUED, make_bundle

pytestmark = pytest.mark.attack

SECURITY = 5  # of the release that is confirmed


class NoRoomForFloors(Disk):
    """A disk that has no room for the floors of a confirmation, while ``is_full``."""

    def __init__(self) -> None:
        self.is_full = True

    def write(self, path: Path, data: bytes) -> None:
        is_floor = path.name == "floor.json"
        if self.is_full and is_floor and highest(msgspec.json.decode(data, type=Floor), "security/digits") >= SECURITY:
            raise DiskFailed("No room")
        super().write(path, data)


class Scene:
    """A device that has confirmed 1.0.0, and 2.0.0 of security floor 5 waits at the broker; 1.1.0 has none."""

    def __init__(self, root: Path) -> None:
        self.operator = Operator()
        self.folder, self.device = self.operator.enrolled_folder(root / "data")
        self.first, self.second, self.weak = (
            make_bundle(root, version=version, runtime="litert", padding=padding, security_floor=floor)
            for version, padding, floor in (("1.0.0", 10, 0), ("2.0.0", 20, SECURITY), ("1.1.0", 30, 0))
        )
        self.side = FleetSide(self.folder, self.device, [path.read_bytes() for path in root.glob("*.efb")])
        self.side.desired = self.operator.assign(self.device, [self.first], 1)
        with AgentRun(self.folder, self.side) as run:
            assert run.settle().state == "confirmed"
        self.side.desired = self.operator.assign(self.device, [self.second], 2, issued=ISSUED + 1)

    def security_floor(self) -> int:
        return highest(load_floor(self.folder), "security/digits")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_floors_that_could_not_be_raised_are_raised_before_anything_else_is_taken(scene: Scene) -> None:
    disk = NoRoomForFloors()
    with AgentRun(scene.folder, scene.side, disk=disk) as run:
        report = run.settle()
        assert (report.state, report.sequence, scene.security_floor()) == ("confirmed", 2, 0)
        assert report.error is not None
        assert report.error.code == "agent.disk_failed"
        run.network.send(topics.DESIRED, scene.operator.assign(scene.device, [scene.weak], 3, issued=ISSUED + 2))
        assert run.settle().sequence == 2
        disk.is_full = False
        report = run.until(lambda seen: seen.sequence == 3)
        assert report.error is not None
        assert (report.state, report.error.code) == ("rejected", "trust.security_floor")
        assert scene.security_floor() == SECURITY


def test_floors_are_raised_as_soon_as_there_is_room(scene: Scene) -> None:
    disk = NoRoomForFloors()
    with AgentRun(scene.folder, scene.side, disk=disk) as run:
        run.settle()
        disk.is_full = False
        run.agent.tick()
        assert scene.security_floor() == SECURITY


def test_floors_are_raised_at_a_start_before_a_slot_is_chosen(scene: Scene) -> None:
    with AgentRun(scene.folder, scene.side, disk=NoRoomForFloors()) as run:
        run.settle()
    running = load_record(scene.folder).running
    assert running is not None
    (scene.folder.slot(running) / "model.tflite").write_bytes(b"rotten")
    with AgentRun(scene.folder, scene.side) as run:
        assert run.settle().running is None
        assert scene.security_floor() == SECURITY
