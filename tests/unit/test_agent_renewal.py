"""Renewal and the way back, by the agent's code against the server's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from edgefleet_agent import certificate, claims, enrolment, identity, renewal, trust_store
from edgefleet_agent.disk import Disk
from edgefleet_agent.enrolment import Machine
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Card, Identity
from edgefleet_contract import canonical, dsse, keys
from edgefleet_contract import enrolment as contract
from edgefleet_contract.enrolment import RenewalResponse
from edgefleet_contract.errors import (
    CertificateExpired,
    DeviceRevoked,
    EdgefleetError,
    IdentityMismatch,
    SignatureInvalid,
    TokenRefused,
)
from edgefleet_server.authority import DEVICE_LIFE
from edgefleet_server.clock import DAY
from edgefleet_server.devices.models import Device
from support.listener import HERE, DeviceListener
from support.server_state import NOON, Inside


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeviceListener]:
    inside = Inside(tmp_path / "server")
    yield DeviceListener(inside, monkeypatch)
    inside.close()


def renew(listener: DeviceListener, folder: DataFolder) -> Card:
    return renewal.renew(folder, Disk(), listener.inside.clock(), listener.renew)


def public_key(listener: DeviceListener, device: str) -> str:
    with listener.inside.database.read() as session:
        return session.get_one(Device, device).public_key


def test_a_certificate_is_due_at_two_thirds_of_its_life_and_not_on_one_day_for_all(
    listener: DeviceListener, tmp_path: Path
) -> None:
    folder, card = listener.device(tmp_path / "agent")
    assert NOON + 50 * DAY < card.renew_at < NOON + 70 * DAY
    pem = Identity(folder).certificate_file.read_text()
    assert len({certificate.renewal_time(pem) for _ in range(5)}) == 5


def test_a_renewed_device_has_a_new_key_and_the_same_name(listener: DeviceListener, tmp_path: Path) -> None:
    folder, card = listener.device(tmp_path / "agent")
    listener.inside.clock.turn(DEVICE_LIFE * 2 // 3)
    pins = trust_store.load_pins(folder)
    old = Identity(folder).signer.public_key()
    renewed = renew(listener, folder)
    mine = Identity(folder)
    assert mine.card == renewed
    assert (renewed.device, renewed.generation) == (card.device, 2)
    assert renewed.renew_at > card.renew_at + 50 * DAY
    issued = x509.load_pem_x509_certificate(mine.certificate_file.read_bytes())
    assert issued.public_key() == mine.signer.public_key() != old
    assert public_key(listener, card.device) == keys.public_text(mine.signer.public_key())
    assert trust_store.load_pins(folder) == pins
    assert sorted(path.name for path in folder.identity.iterdir()) == [
        "authority.pem", "card.json", "device-1.key", "device-2.csr", "device-2.key", "device-2.pem",
    ], "the last key may still open what was wrapped to it"  # fmt: skip
    assert [keys.public_text(holder.public_key()) for holder in mine.holders()] == [
        keys.public_text(key) for key in (mine.signer.public_key(), old)
    ]
    assert mine.key_file.stat().st_mode & 0o777 == 0o600


def test_a_lost_answer_is_asked_for_again_with_the_same_key(listener: DeviceListener, tmp_path: Path) -> None:
    folder, card = listener.device(tmp_path / "agent")
    listener.inside.clock.turn(DEVICE_LIFE * 2 // 3)

    def lose(envelope: bytes) -> bytes:
        listener.renew(envelope)
        raise EdgefleetError("the line went dead")

    with pytest.raises(EdgefleetError, match="line went dead"):
        renewal.renew(folder, Disk(), 0, lose)
    assert Identity(folder).card == card, "the old identity stays whole"
    listener.inside.clock.turn(20 * DAY)
    renew(listener, folder)
    assert public_key(listener, card.device) == keys.public_text(Identity(folder).signer.public_key())
    assert listener.inside.acts().count("device.renewed") == 1


@pytest.mark.attack
def test_an_answer_that_is_no_certificate_of_ours_changes_nothing(listener: DeviceListener, tmp_path: Path) -> None:
    folder, card = listener.device(tmp_path / "agent")
    before = {path.name: path.read_bytes() for path in folder.identity.iterdir()}
    key = keys.generate_device_key().public_key()
    foreign = listener.inside.authority.issue_device(card.device, key)[0]
    for answer in (foreign, before["device-1.pem"].decode(), "", "-----BEGIN CERTIFICATE-----"):
        with pytest.raises(IdentityMismatch):
            renewal.renew(
                folder, Disk(), 0, lambda _, answer=answer: canonical.encode(RenewalResponse(1, card.device, answer))
            )
    assert before.items() <= {path.name: path.read_bytes() for path in folder.identity.iterdir()}.items()
    assert Identity(folder).card == card


def again(listener: DeviceListener, folder: DataFolder, device: str | None) -> Card:
    claim = claims.of_token(listener.inside.token(device=device))
    return enrolment.enroll_again(folder, Disk(), claim=claim, machine=Machine("x86-64", {}, HERE))


def test_a_device_that_slept_past_its_certificate_comes_back_with_a_token(
    listener: DeviceListener, tmp_path: Path
) -> None:
    folder, card = listener.device(tmp_path / "agent")
    (folder.root / "floor.json").write_bytes(b"{}")
    listener.inside.clock.turn(2 * DEVICE_LIFE)
    with pytest.raises(CertificateExpired, match="device token --device"):
        renew(listener, folder)
    back = again(listener, folder, card.device)
    assert (back.device, back.generation) == (card.device, 2)
    assert folder.floor.exists(), "what it remembers stays"
    listener.inside.clock.turn(DEVICE_LIFE // 2)
    assert renew(listener, folder).generation == 3
    assert listener.inside.acts().count("device.enrolled") == 1


def test_a_lost_answer_of_the_way_back_is_given_again(listener: DeviceListener, tmp_path: Path) -> None:
    folder, card = listener.device(tmp_path / "agent")
    token = listener.inside.token(device=card.device)
    machine = Machine("x86-64", {}, HERE)
    listener.lose_answers = 1
    with pytest.raises(ConnectionResetError):
        enrolment.enroll_again(folder, Disk(), claim=claims.of_token(token), machine=machine)
    assert Identity(folder).card == card
    enrolment.enroll_again(folder, Disk(), claim=claims.of_token(token), machine=machine)
    assert public_key(listener, card.device) == keys.public_text(Identity(folder).signer.public_key())


@pytest.mark.attack
def test_a_bound_token_is_of_no_use_to_another_device(listener: DeviceListener, tmp_path: Path) -> None:
    _, card = listener.device(tmp_path / "agent")
    other, other_card = listener.device(tmp_path / "other")
    before = public_key(listener, card.device)
    with pytest.raises(SignatureInvalid):
        again(listener, other, card.device)
    with pytest.raises(TokenRefused, match="back in"):
        listener.inside.enroll(
            listener.inside.request(listener.inside.token(device=card.device), keys.generate_device_key())
        )
    assert public_key(listener, card.device) == before
    assert Identity(other).card == other_card


@pytest.mark.attack
def test_a_token_for_new_devices_does_not_bring_an_old_one_back_as_another(
    listener: DeviceListener, tmp_path: Path
) -> None:
    folder, card = listener.device(tmp_path / "agent")
    with pytest.raises(IdentityMismatch):
        again(listener, folder, None)
    assert Identity(folder).card == card


@pytest.mark.attack
def test_a_leaked_token_is_worthless_after_its_use(listener: DeviceListener, tmp_path: Path) -> None:
    folder, card = listener.device(tmp_path / "agent")
    token = listener.inside.token(device=card.device)
    enrolment.enroll_again(folder, Disk(), claim=claims.of_token(token), machine=Machine("x86-64", {}, HERE))
    with pytest.raises(TokenRefused, match="used already"):
        enrolment.enroll_again(folder, Disk(), claim=claims.of_token(token), machine=Machine("x86-64", {}, HERE))


@pytest.mark.attack
def test_a_key_proof_is_good_for_its_own_request(listener: DeviceListener, tmp_path: Path) -> None:
    folder, card = listener.device(tmp_path / "agent")
    token = listener.inside.token(device=card.device)
    mine = Identity(folder)
    statement = contract.KeyProof(1, keys.public_text(mine.signer.public_key()), "0" * 64, token.id)
    proof = mine.sign(canonical.encode(statement), dsse.KEY_PROOF).decode()
    request = msgspec.structs.replace(listener.inside.request(token, keys.generate_device_key()), proof=proof)
    with pytest.raises(EdgefleetError, match="another request"):
        listener.inside.enroll(request)


@pytest.mark.attack
def test_a_retired_device_cannot_renew_nor_come_back(listener: DeviceListener, tmp_path: Path) -> None:
    from edgefleet_server.devices import lifecycle

    folder, card = listener.device(tmp_path / "agent")
    token = listener.inside.token(device=card.device)
    with listener.inside.fleet.change("admin") as change:
        lifecycle.retire(change, card.device)
    with pytest.raises(DeviceRevoked):
        renew(listener, folder)
    with pytest.raises(DeviceRevoked):
        enrolment.enroll_again(folder, Disk(), claim=claims.of_token(token), machine=Machine("x86-64", {}, HERE))
    assert identity.Identity(folder).card == card
