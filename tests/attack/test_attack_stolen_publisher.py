"""Attacks with a key that signs releases: what was pushed with it before its owner knew is withdrawn for good."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgefleet_contract.errors import Conflict, NotReleased, SignatureInvalid, VerificationError
from edgefleet_server.publisher.draft import Draft
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.publisher.statement import state_release
from edgefleet_server.releases import service as releases
from edgefleet_server.releases import withdrawals
from edgefleet_server.trust import service as trust_service
from support.server_state import Inside, StandIn
from support.server_trust import Judge
from support.tiny_bundles import tiny_bundle
from support.unchanged import unchanged

pytestmark = pytest.mark.attack

EVIL = "digits@6.6.6"


def bundle(inside: Inside, version: str) -> Path:
    return tiny_bundle(inside.folder, version, labelled=False)


@pytest.fixture
def victim(inside: Inside) -> tuple[StandIn, Judge]:
    """A device that runs 1.0.0."""
    device = inside.device()
    judge = Judge(inside, device)
    label = inside.roll_out(inside.push(bundle(inside, "1.0.0")))
    judge.obeys()
    inside.settle(label, device)
    return device, judge


@pytest.fixture
def thief(inside: Inside, victim: tuple[StandIn, Judge]) -> Publisher:
    """Has a copy of the operator's keys but for the root's, and has pushed a release of his own."""
    shutil.copytree(inside.folder / "home", inside.folder / "thief")
    for root in (inside.folder / "thief" / "keys").glob("root-*"):
        root.unlink()
    owner, inside.publisher = inside.publisher, Publisher(inside.folder / "thief")
    assert inside.push(bundle(inside, "6.6.6")) == EVIL
    stolen, inside.publisher = inside.publisher, owner
    owner.keep(owner.merged(stolen.repository().files()))
    return stolen


def replace_targets(inside: Inside) -> None:
    """What ``key rotate targets`` does."""
    base = inside.publisher.repository()
    server = inside.online_keys.public(base.root)
    inside.take(inside.publisher.rotation(base, ["targets"], server, [], inside.clock()))


def withdraw(inside: Inside, label: str = EVIL) -> None:
    """What ``release withdraw`` does."""
    inside.take(inside.publisher.withdrawal(inside.publisher.repository(), label, inside.clock()))
    inside.engine.renew_assignments()
    inside.engine.run_until_quiet()


def refused(inside: Inside, draft: Draft, *errors: type[Exception]) -> None:
    with unchanged(inside.data.path), pytest.raises(errors):
        inside.take(draft)


def test_what_a_thief_of_the_targets_key_has_pushed_is_withdrawn_and_runs_nowhere(
    inside: Inside, victim: tuple[StandIn, Judge], thief: Publisher
) -> None:
    device, judge = victim
    before = device.running
    label = inside.roll_out(EVIL)
    order, proof = judge.desired()
    replace_targets(inside)
    withdraw(inside)

    assert inside.rollout(label).state == "halted"
    assert inside.states(label) == {"withdrawn": 1}
    with pytest.raises(Conflict, match="was withdrawn"):
        inside.roll_out(EVIL)
    assert judge.obeys().assignment.digest is None, "the device is told to forget it"
    for words in ((order, proof), (order, judge.desired()[1])):
        with pytest.raises(VerificationError):
            judge.judges(*words)
    assert judge.memory.confirmed == [before]

    another = state_release([bundle(inside, "6.6.7")], inside.clock())
    refused(inside, thief.release(thief.repository(), another, inside.clock()), SignatureInvalid, Conflict)
    again = state_release([bundle(inside, "6.6.6")], inside.clock())
    refused(inside, inside.publisher.release(inside.publisher.repository(), again, inside.clock()), Conflict)
    settled = inside.roll_out(inside.push(bundle(inside, "1.1.0")))
    judge.obeys()
    inside.settle(settled, device)


def test_a_device_takes_no_withdrawn_release_whoever_assigns_it(
    inside: Inside, victim: tuple[StandIn, Judge], thief: Publisher
) -> None:
    _, judge = victim
    inside.roll_out(EVIL)
    order, _ = judge.desired()
    inside.take(inside.publisher.withdrawal(inside.publisher.repository(), EVIL, inside.clock()))
    with inside.database.read() as session:
        book = trust_service.proof_book(session)
    assert book is not None
    proof = book.proof("digits/6.6.6/x86-64.efb")
    assert proof is not None
    floor = judge.memory.current
    with pytest.raises(NotReleased):
        judge.judges(order, proof)
    assert judge.memory.current == floor


def test_devices_that_run_a_withdrawn_release_are_named_until_they_run_another(
    inside: Inside, victim: tuple[StandIn, Judge], thief: Publisher
) -> None:
    device, judge = victim
    first = inside.roll_out(EVIL)
    judge.obeys()
    inside.settle(first, device)
    replace_targets(inside)
    withdraw(inside)
    assert running(inside) == [device.id]
    assert judge.obeys().assignment.digest is None, "and yet it follows the newest root"
    assert judge.memory.current.root == 2
    second = inside.roll_out(inside.push(bundle(inside, "6.6.7")))
    judge.obeys()
    inside.settle(second, device)
    assert running(inside) == []
    assert "release.withdrawn" in inside.acts()


def test_a_device_never_goes_back_to_a_withdrawn_release(
    inside: Inside, victim: tuple[StandIn, Judge], thief: Publisher
) -> None:
    device, _ = victim
    inside.settle(inside.roll_out(EVIL), device)
    second = inside.roll_out(inside.push(bundle(inside, "6.6.7")))
    inside.settle(second, device)
    withdraw(inside)
    inside.act("rollback", second)
    assert inside.deployment(second, device).state == "stranded"
    assert device.assignment().digest == device.running


def test_a_release_is_withdrawn_whole_or_not_at_all(inside: Inside) -> None:
    inside.push(tiny_bundle(inside.folder), tiny_bundle(inside.folder, hardware=["rpi4"], target="rpi4"))
    draft = inside.publisher.withdrawal(inside.publisher.repository(), "digits@1.0.0", inside.clock())
    [metadata] = draft.new.values()
    before = inside.publisher.repository().model("digits")
    assert before is not None
    metadata.signed.targets = {"digits/1.0.0/rpi4.efb": before.targets["digits/1.0.0/rpi4.efb"]}
    metadata.signatures.clear()
    inside.publisher.sign(draft)
    refused(inside, draft, Conflict)


def running(inside: Inside) -> list[str]:
    with inside.database.read() as session:
        return withdrawals.running(session, releases.release(session, EVIL))


def test_a_stolen_key_of_one_model_is_replaced_and_signs_nothing_more(inside: Inside) -> None:
    inside.publisher.keyring.make({"model/digits": 1}, {"model/digits": 1})
    inside.push(bundle(inside, "1.0.0"))
    stolen = inside.publisher.repository().delegated("digits")
    assert stolen is not None
    shutil.copytree(inside.folder / "home", inside.folder / "thief")
    thief = Publisher(inside.folder / "thief")
    base = inside.publisher.repository()
    inside.take(inside.publisher.model_rotation(base, "digits", inside.clock()))

    evil = state_release([bundle(inside, "6.6.6")], inside.clock())
    forged = thief.release(thief.repository(), evil, inside.clock())
    [(_, role)] = forged.new.items()
    role.signed.version += 1
    role.signatures.clear()
    thief.sign(forged)
    draft = Draft(forged.about, inside.publisher.repository(), {"3.digits.json": role})
    refused(inside, draft, SignatureInvalid)

    inside.push(bundle(inside, "1.1.0"))
    after = inside.publisher.repository().delegated("digits")
    assert after is not None
    assert set(stolen.keyids).isdisjoint(after.keyids), "a push does not bring old keys back"
    assert (len(after.keyids), after.threshold) == (1, 1)
