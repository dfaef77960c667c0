"""A device about to be updated, as files: everything that a run of an agent needs, so that any process can run it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.record import Record, load_record
from edgefleet_agent.slots import Slots
from edgefleet_agent.spool import Spool
from edgefleet_agent.trust_store import load_floor, metadata_path
from edgefleet_contract import messages
from edgefleet_contract.messages import Desired
from edgefleet_contract.trust import Floor, highest
from support.agent_fleet import FleetSide, Operator
from support.agent_runs import AgentRun
from support.bundles import ISSUED, make_bundle, release_of, vectors_file, worse_model

BLOCKS_OF_PADDING = 300_000  # bytes: the second bundle comes in three blocks


@dataclass(frozen=True)
class World:
    """A device that has confirmed 1.0.0, and the assignment of 1.1.0 that waits at the broker.

    Attributes:
        root: Of the files; ``data`` below it is the device's folder.
        device: Its id.
        before, after: Digests of 1.0.0 and 1.1.0.
    """

    root: Path
    device: str
    before: str
    after: str

    def copy_to(self, root: Path) -> World:
        """The same world elsewhere."""
        shutil.copytree(self.root, root)
        return World(root, self.device, self.before, self.after)

    @property
    def folder(self) -> DataFolder:
        return DataFolder(self.root / "data")

    def side(self) -> FleetSide:
        """A server that offers both bundles and repeats the assignment of 1.1.0."""
        side = FleetSide(
            self.folder, self.device, [path.read_bytes() for path in sorted((self.root / "files").iterdir())]
        )
        side.desired = (self.root / "desired.json").read_bytes()
        return side


def build_world(root: Path) -> World:
    """Enroll a device, let it confirm 1.0.0, and sign an assignment of 1.1.0 with rollout vectors for it."""
    operator = Operator()
    folder, device = operator.enrolled_folder(root / "data")
    files = root / "files"
    files.mkdir()
    first = make_bundle(files)
    second = make_bundle(files, version="1.1.0", model=worse_model(), padding=BLOCKS_OF_PADDING)
    vectors = vectors_file(files / "vectors.npz", count=20).read_bytes()
    side = FleetSide(folder, device, [first.read_bytes()])
    side.desired = operator.assign(device, [first], 1)
    with AgentRun(folder, side) as run:
        run.until(lambda report: report.state == "confirmed")
    # Signed now, since metadata of before the first assignment's would be a replay.
    (root / "desired.json").write_bytes(operator.assign(device, [second], 2, vectors=vectors, issued=ISSUED + 1))
    return World(root, device, *(release_of([path]).bundles[0].digest for path in (first, second)))


def check_bootable(world: World) -> tuple[Record, Floor]:
    """Assert what must hold of the device's folder at any instant, and so after any power cut."""
    folder = world.folder
    record, floor = load_record(folder), load_floor(folder)
    assert record.running is not None, "a device that served once always serves"
    assert record.running_digest in (world.before, world.after)
    assert record.running_digest is not None
    assert Slots(folder, Disk()).is_whole(record.running, record.running_digest)
    assert 1 <= record.sequence <= highest(floor, "sequence") <= 2, "nothing is acted on below the floor"
    Spool(folder.spool, Disk(), 1 << 20)
    return record, floor


def check_updated(world: World) -> None:
    """Assert that the update is over, and left nothing lying about."""
    record, floor = check_bootable(world)
    assert (record.state, record.sequence, record.running_digest) == ("confirmed", 2, world.after)
    assert record.confirmed == [world.after, world.before]
    assert record.error is None
    assert {evidence.phase for evidence in record.evidence} == {"trial", "probation"}
    assert (highest(floor, "sequence"), highest(floor, "issued/digits")) == (2, ISSUED + 1)
    desired = messages.decode((world.root / "desired.json").read_bytes(), Desired)
    assert metadata_path(world.folder).read_bytes() == bytes(desired.proof), "the proof that was believed is kept"
    left = [path.name for path in folder_files(world.folder.download)]
    assert len(left) == 1, "the vectors alone are kept"


def folder_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def update(world: World) -> None:
    """Run an agent until the update is over."""
    with AgentRun(world.folder, world.side()) as run:
        run.until(lambda report: report.sequence == 2 and report.state == "confirmed" and len(report.evidence) == 2)
