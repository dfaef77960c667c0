"""Attacks with what lies on a server: its online keys, its database; and by a server that lies to its operator."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Targets

from edgefleet_contract import canonical, dsse, trust
from edgefleet_contract.errors import (
    Conflict,
    MetadataUnsigned,
    SignatureInvalid,
    StatementMalformed,
    VerificationError,
)
from edgefleet_server.trust import online
from edgefleet_server.trust import service as trust_service
from edgefleet_server.trust.online_keys import OnlineKeys
from edgefleet_server.trust.proofs import ProofBook
from edgefleet_server.trust.repository import parse, to_bytes
from edgefleet_server.trust.server_keys import ASSIGNMENT, ONLINE, described
from support.server_state import Inside, StandIn
from support.server_trust import Judge
from support.tiny_bundles import tiny_bundle
from support.unchanged import unchanged

pytestmark = pytest.mark.attack

SKY = (1 << 31) - 1
EVIL = "e" * 64


class Thief:
    """Has a copy of the server's keys and of everything that was ever published."""

    def __init__(self, inside: Inside, folder: Path) -> None:
        shutil.copytree(inside.data.keys, folder)
        self.keys = OnlineKeys(folder)
        self.repository = inside.publisher.repository()
        self._clock = inside.clock

    def assignment(self, device: StandIn, digest: str, sequence: int) -> bytes:
        statement = trust.Assignment(1, device.id, device.hardware, digest, sequence, self._clock() * 2)
        key = self.keys.key(self.repository.root, ASSIGNMENT).private
        return dsse.sign(canonical.encode(statement), dsse.ASSIGNMENT, [key])

    def model(self, name: str = "digits") -> dict[str, bytes]:
        """The next version of a model's role, with a bundle of the thief's own, signed by the key that he has."""
        role = parse(self.repository.models[name], Targets, name).signed
        role.version += 1
        path, evil = next(iter(role.targets.items()))
        assert evil.custom is not None
        evil.custom["digest"] = EVIL
        role.targets[path] = evil
        metadata = Metadata(role)
        metadata.sign(self.keys.key(self.repository.root, ONLINE).signer)
        return {f"{role.version}.{name}.json": to_bytes(metadata)}

    def book(self, version: int, models: dict[str, bytes] | None = None) -> ProofBook:
        """Proofs over what there is, or over models of his own."""
        repository = replace(self.repository, models=models or self.repository.models)
        signer = self.keys.key(self.repository.root, ONLINE).signer
        return ProofBook(repository, online.sign(repository, signer, version, self._clock()))


@pytest.fixture
def victim(inside: Inside) -> tuple[StandIn, Judge]:
    """A device that runs 1.0.0."""
    device = inside.device()
    judge = Judge(inside, device)
    label = inside.roll_out(inside.push())
    judge.obeys()
    inside.settle(label, device)
    return device, judge


def state_of(judge: Judge) -> tuple[object, ...]:
    return judge.memory.current, judge.memory.kept, list(judge.memory.confirmed)


def test_a_thief_of_the_server_cannot_make_a_device_run_what_was_not_released(
    inside: Inside, victim: tuple[StandIn, Judge], tmp_path: Path
) -> None:
    device, judge = victim
    thief, before = Thief(inside, tmp_path / "stolen"), state_of(judge)
    order, path = thief.assignment(device, EVIL, SKY), "digits/1.0.0/x86-64.efb"
    [forged] = thief.model().values()
    for book, refusal in (
        (thief.book(SKY), StatementMalformed),  # what was released is not what he assigns
        (thief.book(SKY, {"digits": forged}), MetadataUnsigned),  # and what he says was released, nobody signed
    ):
        proof = book.proof(path)
        assert proof is not None
        with pytest.raises(refusal):
            judge.judges(order, proof)
        assert state_of(judge) == before


def test_the_server_takes_no_release_that_its_own_key_signed(
    inside: Inside, victim: tuple[StandIn, Judge], tmp_path: Path
) -> None:
    thief = Thief(inside, tmp_path / "stolen")
    with unchanged(inside.data.path):
        for files in (
            thief.model(),
            {"3.targets.json": b"{}"},
            {"2.root.json": inside.publisher.repository().roots[0]},
        ):
            with inside.fleet.change("thief") as change, pytest.raises((VerificationError, Conflict)):
                trust_service.take(change, inside.online_keys, files)


def test_a_root_takes_all_power_from_a_thief_of_the_server_and_locks_nobody_out(
    inside: Inside, victim: tuple[StandIn, Judge], tmp_path: Path
) -> None:
    device, judge = victim
    thief = Thief(inside, tmp_path / "stolen")
    [released] = judge.memory.confirmed
    sky = thief.book(SKY).proof("digits/1.0.0/x86-64.efb")
    assert sky is not None
    judge.judges(thief.assignment(device, released, SKY), sky)  # the keys are good until the owner replaces them

    base = inside.publisher.repository()
    fresh = {role: described(inside.online_keys.make(role).signer.public_key) for role in (ONLINE, ASSIGNMENT)}
    keys = inside.online_keys.public(base.root).replaced(fresh)
    inside.take(inside.publisher.rotation(base, [], keys, [ONLINE, ASSIGNMENT], inside.clock()))
    inside.engine.renew_assignments()
    assert judge.obeys().assignment.sequence < SKY, "the owner is not locked out"

    before = state_of(judge)
    with pytest.raises(VerificationError):
        judge.judges(thief.assignment(device, released, SKY), sky)
    _, newest = judge.desired()
    with pytest.raises(SignatureInvalid):
        judge.judges(thief.assignment(device, released, SKY), newest)
    assert state_of(judge) == before


def test_a_hostile_server_cannot_have_the_operator_build_on_old_metadata(inside: Inside) -> None:
    inside.push()
    old = inside.publisher.repository().files()
    inside.push(tiny_bundle(inside.folder, "1.1.0"))
    with unchanged(inside.folder / "home"), pytest.raises(Conflict, match="one above 2"):
        inside.publisher.merged({"1.digits.json": old["1.digits.json"]})


def test_a_hostile_server_cannot_have_the_operator_sign_over_its_own_metadata(
    inside: Inside, victim: tuple[StandIn, Judge], tmp_path: Path
) -> None:
    thief = Thief(inside, tmp_path / "stolen")
    forged = parse(thief.repository.models["digits"], Targets, "digits").signed
    forged.version += 1
    metadata = Metadata(forged)
    metadata.sign(thief.keys.key(thief.repository.root, ONLINE).signer)
    with unchanged(inside.folder / "home"), pytest.raises(SignatureInvalid):
        inside.publisher.merged({"2.digits.json": to_bytes(metadata)})
