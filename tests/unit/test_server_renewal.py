"""Renewal at the server's side: who gets the next certificate, and what becomes of the one before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography import x509

from edgefleet_contract import canonical, dsse, enrolment, keys
from edgefleet_contract.enrolment import RenewalRequest, RenewalResponse
from edgefleet_contract.errors import (
    CertificateExpired,
    Conflict,
    DeviceRevoked,
    NotFound,
    SignatureInvalid,
    StatementMalformed,
)
from edgefleet_server.authority import DEVICE_LIFE
from edgefleet_server.clock import HOUR
from edgefleet_server.devices import certificates, lifecycle
from edgefleet_server.devices.models import Certificate
from support.server_device import make_csr
from support.server_state import Inside, StandIn


@pytest.fixture
def device(inside: Inside) -> StandIn:
    """A device that is due for renewal."""
    made = inside.device()
    inside.clock.turn(DEVICE_LIFE * 2 // 3)
    return made


def request(device: str, signer: Any, key: Any, **changed: object) -> bytes:
    """A renewal of ``device`` for ``key``, signed by ``signer``."""
    plain = RenewalRequest(1, device, make_csr(key), 0, "n" * 32)
    return dsse.sign(canonical.encode(msgspec.structs.replace(plain, **changed)), dsse.RENEWAL, [signer])


def renew(inside: Inside, envelope: bytes) -> RenewalResponse:
    with inside.fleet.change("device") as change:
        return inside.enroller.renewer.renew(change, envelope)


def certificate_of(response: RenewalResponse) -> x509.Certificate:
    return x509.load_pem_x509_certificate(response.certificate.encode())


def revoked(inside: Inside) -> list[int]:
    with inside.database.read() as session:
        return [serial for serial, _ in certificates.revoked(session, inside.clock())]


def test_a_device_gets_its_next_certificate_for_a_new_key(inside: Inside, device: StandIn) -> None:
    new = keys.generate_device_key()
    response = renew(inside, request(device.id, device.key, new))
    certificate = certificate_of(response)
    assert certificate.public_key() == new.public_key()
    assert certificate.not_valid_after_utc.timestamp() * 1000 == inside.clock() + DEVICE_LIFE
    assert inside.acts()[-1] == "device.renewed"


def test_the_old_key_is_good_until_the_new_one_is_used(inside: Inside, device: StandIn) -> None:
    old, new = device.key, keys.generate_device_key()
    renew(inside, request(device.id, old, new))
    assert device.says("idle", sequence=0).reported, "an answer may be lost"
    assert revoked(inside) == []
    device.key = new
    assert device.says("idle", sequence=0).key_settled
    with inside.database.read() as session:
        [first] = session.query(Certificate).filter(Certificate.revoked_at.is_not(None))
        assert first.key == keys.public_text(old.public_key())
    assert revoked(inside) == [int(first.serial, 16)]


def test_a_lost_answer_is_given_again(inside: Inside, device: StandIn) -> None:
    new = keys.generate_device_key()
    first = renew(inside, request(device.id, device.key, new))
    assert renew(inside, request(device.id, device.key, new, nonce="m" * 32)) == first
    inside.clock.turn(2 * HOUR)
    assert renew(inside, request(device.id, device.key, new)) == first, "however long it was lost"
    assert inside.acts().count("device.renewed") == 1


def test_a_key_that_stays_gets_certificates_at_a_measured_pace(inside: Inside, device: StandIn) -> None:
    first = renew(inside, request(device.id, device.key, device.key))
    assert renew(inside, request(device.id, device.key, device.key)) == first
    inside.clock.turn(HOUR)
    assert renew(inside, request(device.id, device.key, device.key)) != first


@pytest.mark.attack
def test_certificates_cannot_be_had_by_the_thousand(inside: Inside, device: StandIn) -> None:
    new = keys.generate_device_key()
    renew(inside, request(device.id, device.key, new))
    with pytest.raises(Conflict):
        renew(inside, request(device.id, new, keys.generate_device_key()))


@pytest.mark.attack
def test_a_request_that_is_not_the_devices_own_is_refused(inside: Inside, device: StandIn) -> None:
    other, new = inside.device(), keys.generate_device_key()
    refused: list[tuple[bytes, type[Exception]]] = [
        (request(device.id, other.key, new), SignatureInvalid),
        (request(device.id, new, new), SignatureInvalid),
        (request("d-aaaaaaaaaaaaaaaa", device.key, new), NotFound),
        (request(device.id, device.key, new, csr=""), StatementMalformed),
        (request(device.id, device.key, new, v=2), StatementMalformed),
        (dsse.sign(b'{"device":"%s"}' % device.id.encode(), dsse.REPORTED, [device.key]), StatementMalformed),
        (b"{}", StatementMalformed),
        (b"\xff", StatementMalformed),
    ]
    for envelope, error in refused:
        with pytest.raises(error):
            renew(inside, envelope)
    assert "device.renewed" not in inside.acts()


@pytest.mark.attack
def test_the_name_in_a_renewals_csr_is_ignored(inside: Inside, device: StandIn) -> None:
    new = keys.generate_device_key()
    forged = make_csr(new, inside.device().id)
    certificate = certificate_of(renew(inside, request(device.id, device.key, new, csr=forged)))
    assert [name.value for name in certificate.subject] == [device.id]


def test_an_expired_device_needs_the_operator(inside: Inside, device: StandIn) -> None:
    inside.clock.turn(DEVICE_LIFE // 3)
    with pytest.raises(CertificateExpired, match="--again"):
        renew(inside, request(device.id, device.key, keys.generate_device_key()))


@pytest.mark.attack
@pytest.mark.parametrize("act", [lifecycle.revoke, lifecycle.retire])
def test_a_device_that_left_is_not_renewed(inside: Inside, device: StandIn, act: Any) -> None:
    with inside.fleet.change("admin") as change:
        act(change, device.id)
    with pytest.raises(DeviceRevoked):
        renew(inside, request(device.id, device.key, keys.generate_device_key()))


@pytest.mark.attack
def test_a_replayed_renewal_gives_nothing_once_the_new_key_is_used(inside: Inside, device: StandIn) -> None:
    new = keys.generate_device_key()
    envelope = request(device.id, device.key, new)
    first = renew(inside, envelope)
    assert renew(inside, envelope) == first, "the same certificate, for a key that the replayer has not"
    device.key = new
    device.says("idle", sequence=0)
    with pytest.raises(DeviceRevoked):
        renew(inside, envelope)


@pytest.mark.attack
def test_a_thief_who_renews_first_is_noticed_when_the_device_renews(inside: Inside, device: StandIn) -> None:
    stolen, thiefs, own = device.key, keys.generate_device_key(), keys.generate_device_key()
    renew(inside, request(device.id, stolen, thiefs))
    with pytest.raises(DeviceRevoked) as refused:
        renew(inside, request(device.id, stolen, own))
    assert refused.value.facts["sign"] == "renewal"


def test_decoding_refuses_other_versions() -> None:
    with pytest.raises(StatementMalformed):
        enrolment.decode(canonical.encode(RenewalResponse(2, "d", "c")), RenewalResponse)
