"""Messages of an attacker with the broker in hand: each is refused, told, and changes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from edgefleet_agent.disk import Disk
from edgefleet_agent.record import Record, load_record
from edgefleet_agent.trust_store import DurableTrustStore, load_floor, metadata_path
from edgefleet_contract import blocks, identifiers, keys, messages, topics
from edgefleet_contract.blocks import Block
from edgefleet_contract.messages import Ack, Desired, Reported
from edgefleet_contract.trust import Floor
from support.agent_fleet import FleetSide, Operator
from support.agent_runs import AgentRun
from support.bundles import ISSUED, make_bundle, release_of
from support.tuf_repository import Holders, TufRepository

pytestmark = pytest.mark.attack

LATER = ISSUED + 20  # than all that the device has confirmed, so that no other defence answers in place of one


@dataclass
class Scene:
    """A device that has confirmed 1.1.0 under sequence 5, while an attacker holds the broker."""

    operator: Operator
    device: str
    run: AgentRun
    older: Path
    running: Path
    newer: Path

    def state(self) -> tuple[Record, Floor]:
        folder = self.run.folder
        return load_record(folder), load_floor(folder)

    def send(self, desired: bytes) -> Reported:
        self.run.network.send(topics.DESIRED, desired)
        return self.run.settle()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    operator = Operator()
    folder, device = operator.enrolled_folder(tmp_path / "data")
    older, running, newer = (
        make_bundle(tmp_path, version=version, runtime="litert", padding=padding)
        for version, padding in (("1.0.0", 10), ("1.1.0", 20), ("1.2.0", 30))
    )
    side = FleetSide(folder, device, [path.read_bytes() for path in (older, running, newer)])
    side.desired = operator.assign(device, [running], 5, issued=ISSUED)
    with AgentRun(folder, side) as run:
        assert run.settle().state == "confirmed"
        yield Scene(operator, device, run, older, running, newer)


def check_refused(scene: Scene, desired: bytes, code: str) -> None:
    """The message is refused with this code; record, floor and downloads stay as they were."""
    before, asked = scene.state(), len(scene.run.side.asked)
    report = scene.send(desired)
    assert report.error is not None
    assert report.error.code == code
    assert (report.state, report.sequence) == ("confirmed", 5)
    assert scene.state() == before
    assert len(scene.run.side.asked) == asked


def test_an_assignment_for_another_device_is_refused(scene: Scene) -> None:
    other = scene.operator.assign(identifiers.new_device_id(), [scene.newer], 6, issued=LATER)
    check_refused(scene, other, "trust.wrong_device")


def test_a_replayed_assignment_is_refused(scene: Scene) -> None:
    check_refused(scene, scene.operator.assign(scene.device, [scene.older], 4, issued=LATER), "trust.replayed")


def test_another_content_under_the_same_sequence_is_refused(scene: Scene) -> None:
    check_refused(scene, scene.operator.assign(scene.device, [scene.newer], 5, issued=LATER), "trust.replayed")


def test_an_assignment_by_a_strange_key_is_refused(scene: Scene) -> None:
    forged = scene.operator.assign(scene.device, [scene.newer], 6, key=keys.generate())
    check_refused(scene, forged, "trust.signature_invalid")


def test_an_unsigned_assignment_is_refused(scene: Scene) -> None:
    desired = messages.decode(scene.operator.assign(scene.device, [scene.newer], 6), Desired)
    envelope = msgspec.json.decode(desired.assignment)
    envelope["signatures"] = []
    unsigned = messages.encode(Desired(1, msgspec.Raw(msgspec.json.encode(envelope)), desired.proof))
    check_refused(scene, unsigned, "trust.signature_invalid")


def test_bytes_that_are_no_message_are_refused(scene: Scene) -> None:
    check_refused(scene, b"{not json", "message.malformed")


def test_the_known_assignment_come_again_is_no_news(scene: Scene) -> None:
    before, reports = scene.state(), len(scene.run.side.reports)
    assert scene.run.side.desired is not None
    scene.send(scene.run.side.desired)
    assert scene.state() == before
    assert len(scene.run.side.reports) == reports


def test_a_refused_message_repeated_costs_one_report(scene: Scene) -> None:
    forged = scene.operator.assign(scene.device, [scene.newer], 6, key=keys.generate())
    scene.send(forged)
    reports = len(scene.run.side.reports)
    for _ in range(20):
        scene.send(forged)
    assert len(scene.run.side.reports) == reports


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"expires": 1}, "trust.expired"),
        ({"issued": ISSUED - 1}, "trust.downgrade"),
    ],
)
def test_the_servers_own_assignment_that_trust_refuses_is_rejected_under_its_sequence(
    scene: Scene, changes: dict[str, int], code: str
) -> None:
    _, floor = scene.state()
    report = scene.send(scene.operator.assign(scene.device, [scene.newer], 6, **changes))
    assert (report.state, report.sequence) == ("rejected", 6)
    assert report.error is not None
    assert report.error.code == code
    assert report.running == release_of([scene.running]).bundles[0].digest
    assert scene.run.agent.served.is_ready
    assert scene.state()[1] == floor


def test_a_release_by_a_strange_key_is_rejected(scene: Scene) -> None:
    ours = scene.operator.repository
    thief = Operator(TufRepository(timestamp=ours.timestamp, assignment=ours.assignment))
    report = scene.send(thief.assign(scene.device, [scene.newer], 6))
    assert (report.state, report.running) == ("rejected", release_of([scene.running]).bundles[0].digest)
    assert report.error is not None
    assert report.error.code == "metadata.unsigned"


def test_a_floor_survives_the_loss_of_everything_else(scene: Scene) -> None:
    folder = scene.run.folder
    scene.run.agent.stop()
    folder.record.unlink()
    side = scene.run.side
    side.desired = scene.operator.assign(scene.device, [scene.older], 4)
    with AgentRun(folder, side) as run:
        report = run.settle()
    assert (report.state, report.running) == ("idle", None)
    assert report.error is not None
    assert report.error.code == "trust.replayed"


def publish_twice(scene: Scene) -> None:
    """Let the repository go on, so that a copy of it falls behind."""
    for _ in range(2):
        scene.operator.publish([scene.older])


def test_an_old_repository_is_refused_though_the_metadata_were_wiped(scene: Scene) -> None:
    old = Operator(scene.operator.repository.copy())
    publish_twice(scene)
    assert scene.send(scene.operator.assign(scene.device, [scene.newer], 6, issued=LATER)).sequence == 6
    scene.run.agent.stop()
    metadata_path(scene.run.folder).unlink()
    before = scene.state()[1]
    scene.run.side.desired = old.assign(scene.device, [scene.running], 7)
    with AgentRun(scene.run.folder, scene.run.side) as run:
        report = run.settle()
    assert report.error is not None
    assert (report.state, report.error.code) == ("rejected", "metadata.rolled_back")
    assert scene.state()[1] == before
    assert not metadata_path(scene.run.folder).exists()


def test_a_replay_is_refused_though_the_floor_was_wiped(scene: Scene) -> None:
    old = Operator(scene.operator.repository.copy())
    publish_twice(scene)
    running = release_of([scene.newer]).bundles[0].digest
    assert scene.send(scene.operator.assign(scene.device, [scene.newer], 6, issued=LATER)).running == running
    scene.run.agent.stop()
    scene.run.folder.floor.unlink()
    scene.run.side.desired = old.assign(scene.device, [scene.older], 7)
    with AgentRun(scene.run.folder, scene.run.side) as run:
        report = run.settle()
        assert report.error is not None
        assert (report.running, report.error.code) == (running, "metadata.rolled_back")
        run.network.send(topics.DESIRED, scene.operator.assign(scene.device, [scene.older], 8, issued=ISSUED))
        report = run.settle()
    assert report.error is not None
    assert (report.running, report.error.code) == (running, "trust.downgrade")


def test_metadata_held_back_past_their_life_are_refused(scene: Scene) -> None:
    scene.operator.repository.expires["timestamp"] = dt.datetime.fromtimestamp(ISSUED / 1000, dt.UTC)
    report = scene.send(scene.operator.assign(scene.device, [scene.newer], 6))
    assert report.error is not None
    assert (report.state, report.error.code) == ("rejected", "metadata.expired")


def with_proof(desired: bytes, proof: bytes) -> bytes:
    return messages.encode(Desired(1, messages.decode(desired, Desired).assignment, msgspec.Raw(proof)))


def test_a_known_assignment_brings_a_root_that_replaces_stolen_keys(scene: Scene) -> None:
    record, floor = scene.state()
    repository, known = scene.operator.repository, scene.run.side.desired
    assert known is not None
    stolen = repository.assignment
    repository.replace_keys(assignment=Holders.fresh(), timestamp=Holders.fresh())
    proof = repository.proof(next(iter(repository.entries)))
    reports = len(scene.run.side.reports)
    scene.send(with_proof(known, proof))
    assert (scene.state()[0], len(scene.run.side.reports)) == (record, reports)
    assert (floor.root, scene.state()[1].root) == (1, 2)
    assert metadata_path(scene.run.folder).read_bytes() == proof

    thief = Operator(repository.copy())
    thief.repository.assignment = stolen
    check_refused(scene, thief.assign(scene.device, [scene.newer], 7), "trust.signature_invalid")
    assert scene.send(scene.operator.assign(scene.device, [scene.newer], 3, issued=LATER)).state == "confirmed"


def test_a_root_that_comes_without_an_assignment_is_followed_and_nothing_else_happens(scene: Scene) -> None:
    record, _ = scene.state()
    folder, repository = scene.run.folder, scene.operator.repository
    repository.replace_keys(assignment=Holders.fresh())
    reports = len(scene.run.side.reports)
    scene.send(messages.encode(Desired(1, msgspec.Raw(messages.NOTHING_ASSIGNED), msgspec.Raw(repository.proof()))))
    assert (scene.state()[0], len(scene.run.side.reports)) == (record, reports)
    assert scene.state()[1].root == 2
    assert set(DurableTrustStore(folder, Disk(), Record).assignment_keys()) == key_ids(repository.assignment)


def test_the_keys_obeyed_are_those_of_the_newest_root_and_none_where_it_is_lost(scene: Scene) -> None:
    folder, repository = scene.run.folder, scene.operator.repository
    assert set(DurableTrustStore(folder, Disk(), Record).assignment_keys()) == key_ids(repository.assignment)
    repository.replace_keys(assignment=Holders.fresh())
    assert scene.run.side.desired is not None
    scene.send(with_proof(scene.run.side.desired, repository.proof()))
    assert set(DurableTrustStore(folder, Disk(), Record).assignment_keys()) == key_ids(repository.assignment)
    metadata_path(folder).unlink()
    assert DurableTrustStore(folder, Disk(), Record).assignment_keys() == {}


def key_ids(holders: Holders) -> set[str]:
    return {keys.key_id(key.public_key()) for key in holders.private}


def test_a_forged_proof_of_a_known_assignment_changes_nothing(scene: Scene) -> None:
    assert scene.run.side.desired is not None
    thief = scene.operator.repository.copy()
    thief.root = Holders.fresh()
    thief.replace_keys(assignment=Holders.fresh())
    check_refused(scene, with_proof(scene.run.side.desired, thief.proof()), "metadata.unsigned")


def test_blocks_nobody_asked_for_change_nothing(scene: Scene) -> None:
    before = scene.state()
    data = scene.newer.read_bytes()
    sha256 = release_of([scene.newer]).bundles[0].sha256
    for payload in (blocks.encode(Block(sha256, 0, len(data), data[: blocks.BLOCK_BYTES])), b"", b"EFBK" * 100):
        scene.run.network.send(topics.BLOCK, payload)
        scene.run.settle()
    assert scene.state() == before
    assert list(scene.run.folder.download.iterdir()) == []


def test_acknowledgements_of_what_was_not_sent_forget_nothing(scene: Scene) -> None:
    scene.run.side.acknowledging = False
    scene.run.agent.served.close_window()
    ack = Ack(1, scene.device, "telemetry", "another boot", 10**9)
    scene.run.network.send(topics.ACK, scene.run.side.seal(ack))
    scene.run.settle()
    assert scene.run.agent.status()["spool"]["records"] == 1
