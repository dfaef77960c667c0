"""Claim tokens and enrolment, at the server's side."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgefleet_contract import identifiers, keys
from edgefleet_contract.errors import Conflict, StatementMalformed, TokenRefused, UsageMalformed
from edgefleet_server.authority import DEVICE_LIFE, SERVER_NAME, Authority, key_of_request
from edgefleet_server.clock import DAY, MINUTE
from edgefleet_server.devices.models import ClaimToken, Device
from edgefleet_server.trust.models import TrustMetadata
from support.server_device import make_csr
from support.server_state import NOON, Inside


def devices(inside: Inside) -> int:
    with inside.database.read() as session:
        return session.query(Device).count()


def test_a_device_gets_a_certificate_for_its_own_key_and_our_name(inside: Inside) -> None:
    key = keys.generate_device_key()
    response = inside.enroll(inside.request(inside.token(site="south"), key))
    certificate = x509.load_pem_x509_certificate(response.certificate.encode())
    assert certificate.public_key() == key.public_key()
    [name] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == response.device
    assert identifiers.is_device_id(response.device)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH], "a device cannot pass for a server"
    assert certificate.not_valid_after_utc.timestamp() * 1000 == NOON + DEVICE_LIFE
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(inside.authority.pem.encode()))
    with inside.database.read() as session:
        assert [(tag.key, tag.value) for tag in session.get_one(Device, response.device).tags] == [("site", "south")]


@pytest.mark.attack
def test_the_name_in_the_request_is_ignored(inside: Inside) -> None:
    request = inside.request(inside.token(), keys.generate_device_key())
    forged = msgspec.structs.replace(request, csr=make_csr(keys.generate_device_key(), SERVER_NAME))
    response = inside.enroll(forged)
    [name] = x509.load_pem_x509_certificate(response.certificate.encode()).subject
    assert name.value == response.device


def test_a_device_that_lost_the_answer_gets_it_again(inside: Inside) -> None:
    request = inside.request(inside.token(), keys.generate_device_key())
    first = inside.enroll(request)
    inside.clock.turn(MINUTE)
    assert inside.enroll(request) == first
    assert devices(inside) == 1
    assert inside.acts().count("device.enrolled") == 1


@pytest.mark.attack
def test_a_token_is_used_once(inside: Inside) -> None:
    token = inside.token()
    inside.enroll(inside.request(token, keys.generate_device_key()))
    with pytest.raises(TokenRefused, match="used already"):
        inside.enroll(inside.request(token, keys.generate_device_key()))
    assert devices(inside) == 1


@pytest.mark.attack
@pytest.mark.parametrize("used", [False, True])
def test_an_expired_token_opens_nothing(inside: Inside, used: bool) -> None:
    token, key = inside.token(life=DAY), keys.generate_device_key()
    if used:
        inside.enroll(inside.request(token, key))
    inside.clock.turn(DAY)
    with pytest.raises(TokenRefused, match="expired"):
        inside.enroll(inside.request(token, key))
    assert devices(inside) == int(used)


@pytest.mark.attack
@pytest.mark.parametrize("changed", [{"token_id": "0" * 16}, {"secret": "x"}, {"secret": ""}])
def test_a_guessed_token_is_unknown_whatever_is_wrong_with_it(inside: Inside, changed: dict[str, str]) -> None:
    request = inside.request(inside.token(), keys.generate_device_key())
    with pytest.raises(TokenRefused, match="unknown"):
        inside.enroll(msgspec.structs.replace(request, **changed))
    assert devices(inside) == 0


@pytest.mark.attack
def test_the_secret_of_a_token_is_not_kept(inside: Inside) -> None:
    token = inside.token()
    with inside.database.read() as session:
        kept = session.get_one(ClaimToken, token.id)
        assert token.secret.encode() not in kept.secret_sha256
    database = (inside.folder / "data" / "edgefleet.db").read_bytes()
    assert token.secret.encode() not in database


@pytest.mark.parametrize("life", [0, MINUTE - 1, 366 * DAY, -DAY])
def test_a_token_lives_from_a_minute_to_a_year(inside: Inside, life: int) -> None:
    with pytest.raises(UsageMalformed):
        inside.token(life)


@pytest.mark.parametrize(
    "changed",
    [
        {"hardware": ""},
        {"hardware": "x" * 129},
        {"hardware": "rpi4\n"},
        {"agent": "\x1b[2J"},
        {"runtimes": {"x" * 200: "1"}},
        {"runtimes": {str(n): "1" for n in range(17)}},
        {"csr": ""},
        {"csr": "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"},
    ],
)
def test_a_malformed_request_does_not_use_the_token_up(inside: Inside, changed: dict[str, Any]) -> None:
    request = inside.request(inside.token(), keys.generate_device_key())
    with pytest.raises(StatementMalformed):
        inside.enroll(msgspec.structs.replace(request, **changed))
    assert devices(inside) == 0
    inside.enroll(request)


@pytest.mark.attack
def test_only_p256_keys_that_sign_for_themselves_are_taken() -> None:
    mine, theirs = keys.generate_device_key(), keys.generate_device_key()
    assert key_of_request(make_csr(mine)) == mine.public_key()
    for other in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        with pytest.raises(StatementMalformed, match="does not prove"):
            key_of_request(make_csr(other))
    request = x509.load_pem_x509_csr(make_csr(mine).encode()).public_bytes(Encoding.DER)
    forged = request.replace(public_der(mine), public_der(theirs))
    assert forged != request
    with pytest.raises(StatementMalformed, match="does not prove"):
        key_of_request(x509.load_der_x509_csr(forged).public_bytes(Encoding.PEM).decode())


def public_der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_a_server_without_a_trust_root_enrolls_nobody(inside: Inside) -> None:
    token = inside.token()
    with inside.database.write() as session:
        session.query(TrustMetadata).delete()
    with pytest.raises(Conflict, match="no trust root"):
        inside.enroll(inside.request(token, keys.generate_device_key()))


def test_the_authority_stays_the_same_and_its_key_is_for_its_owner_alone(inside: Inside) -> None:
    folder = inside.folder / "data" / "ca"
    assert Authority(folder, inside.clock).digest == inside.authority.digest
    inside.authority.issue_listener(["fleet.example.org", "192.0.2.7"])
    for name in ("authority.key", "listener.key"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    listener = x509.load_pem_x509_certificate((folder / "listener.pem").read_bytes())
    names = listener.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "fleet.example.org" in names.get_values_for_type(x509.DNSName)
    assert "192.0.2.7" in [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    assert isinstance(listener.signature_hash_algorithm, hashes.SHA256)
