"""Private bundles at a device: with any key but its own it stays with what it runs, and opens nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgefleet_agent.identity import Identity
from edgefleet_contract import canonical, dsse, keys, messages, trust
from edgefleet_contract.bundle import transfer_digest
from edgefleet_contract.messages import Desired, Reported
from edgefleet_contract.sealing.content import wrap_content_key
from edgefleet_contract.sealing.wrapping import WrappedKey
from support.agent_fleet import FAR_AHEAD_MS, HARDWARE, FleetSide, Operator
from support.agent_runs import AgentRun
from support.bundles import make_bundle, release_of
from support.private_bundles import artifact_of, seal_bundle
from support.unchanged import unchanged


class Bench:
    """A device that runs 1.0.0, and a private 1.1.0 for it."""

    def __init__(self, root: Path) -> None:
        self.operator = Operator()
        self.folder, self.device = self.operator.enrolled_folder(root / "data")
        self.side = FleetSide(self.folder, self.device, [])
        self.first = make_bundle(root, runtime="litert")
        self.side.offer(self.first.read_bytes())
        self.plain = make_bundle(root, version="1.1.0", runtime="litert")
        self.sealed, self.key = seal_bundle(self.plain)
        self.side.offer(self.sealed.read_bytes())
        self.digest = release_of([self.plain]).bundles[0].digest

    def run(self, desired: bytes) -> Reported:
        """What the device reports in the end."""
        self.side.desired = desired
        with AgentRun(self.folder, self.side) as run:
            return run.settle()

    def confirm_the_first(self) -> None:
        assert self.run(self.operator.assign(self.device, [self.first], 1)).state == "confirmed"

    def wrapped(self, key: bytes | None = None) -> WrappedKey:
        """A content key for this device."""
        public = Identity(self.folder).holders()[0].public_key()
        return wrap_content_key(key or self.key, public, self.digest)

    def assign(self, content_key: WrappedKey | None) -> bytes:
        """The desired twin that assigns the private bundle."""
        stated = release_of([self.plain])
        sha256, size = transfer_digest(self.sealed)
        bundle = msgspec.structs.replace(stated.bundles[0], sha256=sha256, bytes=size, private=True)
        path = self.operator.repository.release(stated.release, bundle)
        assignment = trust.Assignment(
            1, self.device, HARDWARE, self.digest, 2, FAR_AHEAD_MS, "r-2", content_key=content_key
        )
        signers = self.operator.repository.assignment.private
        envelope = dsse.sign(canonical.encode(assignment), dsse.ASSIGNMENT, signers)
        proof = self.operator.repository.proof(path, None)
        return messages.encode(Desired(1, msgspec.Raw(envelope), msgspec.Raw(proof)))

    def attempts(self) -> dict[str, tuple[WrappedKey | None, str]]:
        """What a server or broker might send as the key, and the error that the device reports."""
        stranger = wrap_content_key(self.key, keys.generate_device_key().public_key(), self.digest)
        return {
            "none": (None, "seal.key_missing"),
            "for another device": (stranger, "seal.broken"),
            "another key": (self.wrapped(key=bytes(32)), "seal.broken"),
        }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_private_bundle_is_confirmed_and_its_artifact_is_nowhere_on_the_disk(bench: Bench) -> None:
    bench.confirm_the_first()
    report = bench.run(bench.assign(bench.wrapped()))
    assert (report.state, report.running) == ("confirmed", bench.digest)
    # Slot a holds the same model in the clear, by the plain release before.
    files = [path for path in (bench.folder.root / "slots" / "b").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if artifact_of(bench.plain)[200:264] in path.read_bytes()]
    with AgentRun(bench.folder, bench.side) as run:
        assert run.settle().running == bench.digest


@pytest.mark.attack
@pytest.mark.parametrize("attempt", ["none", "for another device", "another key"])
def test_a_device_with_any_other_key_stays_with_what_it_runs(bench: Bench, attempt: str) -> None:
    bench.confirm_the_first()
    content_key, code = bench.attempts()[attempt]
    with unchanged(bench.folder.root, apart_from=("state.json", "floor.json", "trust", "download")):
        report = bench.run(bench.assign(content_key))
    assert report.error is not None
    assert (report.state, report.error.code) == ("rejected", code)
    assert report.running == release_of([bench.first]).bundles[0].digest
