"""Stolen keys, stolen claims and leaked tokens: what they open, what they do not, and what is noticed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from edgefleet_contract import canonical, dsse, keys
from edgefleet_contract.enrolment import BatchClaim, RenewalRequest
from edgefleet_contract.errors import (
    BatchRefused,
    DeviceRevoked,
    EdgefleetError,
    SignatureInvalid,
    TokenRefused,
    VerificationError,
)
from edgefleet_contract.fingerprint import Fingerprint, hashed
from edgefleet_server.alerts.models import Alert
from edgefleet_server.authority import Credentials
from edgefleet_server.clock import DAY
from edgefleet_server.devices import batches, clones, lifecycle
from support.brokers import running_broker
from support.server_device import make_csr
from support.server_state import Inside, StandIn
from support.unchanged import unchanged

pytestmark = pytest.mark.attack


def renewal(device: str, signer: keys.PrivateKey, key: keys.PrivateKey) -> bytes:
    request = RenewalRequest(1, device, make_csr(key), 0, "n" * 32)
    return dsse.sign(canonical.encode(request), dsse.RENEWAL, [signer])


def renew(inside: Inside, envelope: bytes) -> None:
    """As the route does it."""
    try:
        with inside.fleet.change("device") as change:
            inside.enroller.renewer.renew(change, envelope)
    except DeviceRevoked as error:
        with inside.fleet.change("device") as change:
            clones.suspect_after(change, error)
        raise


def alarms(inside: Inside) -> list[str]:
    with inside.database.read() as session:
        return list(session.scalars(select(Alert.kind)))


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
def test_a_claim_certificate_opens_no_broker(tmp_path: Path, kind: str) -> None:
    with running_broker(tmp_path, kind) as broker:
        key = keys.generate_device_key()
        device = "d-aaaaaaaaaaaaaaaa"  # the best name that a claim could have
        claim = broker.authority.issue_claim(device, key.public_key(), broker.authority._clock() + DAY)
        stolen = Credentials(tmp_path / "claim.pem", tmp_path / "claim.key")
        stolen.certificate.write_text(claim)
        stolen.key.write_bytes(keys.to_pem(key))
        with closing(broker.client(device, stolen)) as client:
            assert not client.accepted()
        with closing(broker.client(device, broker.credentials(device))) as client:
            assert client.accepted(), "with a certificate of its own it is let in"


def test_a_stolen_claim_renews_nothing_and_enrolls_nobody_beyond_its_list(inside: Inside) -> None:
    device, claim_key = inside.device(), keys.generate_device_key()
    wanted = batches.BatchRequest("line-7", make_csr(claim_key), 1, DAY, {}, [hashed("serial", "A1")], None)
    with inside.fleet.change("admin") as change:
        batches.create(change, wanted, inside.authority, inside.fleet.hooks)
    plain = inside.request(inside.token(), device.key)
    with unchanged(inside.data.path):
        with pytest.raises(SignatureInvalid):
            renew(inside, renewal(device.id, claim_key, keys.generate_device_key()))
        csr = make_csr(keys.generate_device_key())
        signed = dsse.sign(
            canonical.encode(BatchClaim(1, "line-7", canonical.sha256(csr.encode()))), dsse.BATCH_CLAIM, [claim_key]
        )
        blank = msgspec.structs.replace(plain, token_id="", secret="", csr=csr)
        for serial in ("A2", ""):
            claimed = msgspec.structs.replace(
                blank, claim=signed.decode(), fingerprint=Fingerprint(serial=hashed("serial", serial))
            )
            with pytest.raises(BatchRefused):
                inside.enroll(claimed)


def test_a_stolen_device_key_speaks_for_no_other_device(inside: Inside) -> None:
    stolen, other = inside.device(), inside.device()
    posing = StandIn(inside, other.id, stolen.key, "x86-64")
    with unchanged(inside.data.path):
        with pytest.raises(SignatureInvalid):
            renew(inside, renewal(other.id, stolen.key, keys.generate_device_key()))
        assert inside.ingest.store([posing.message("confirmed", sequence=0)]).reported is False


def test_a_device_key_that_was_copied_is_noticed_and_shut_out(inside: Inside) -> None:
    """The thief renews first; the device's own renewal gives it away, and a revocation ends both."""
    device = inside.device()
    stolen, thiefs = device.key, keys.generate_device_key()
    inside.clock.turn(60 * DAY)
    renew(inside, renewal(device.id, stolen, thiefs))
    with unchanged(inside.data.path, apart_from=("alerts", "sqlite_sequence")), pytest.raises(DeviceRevoked):
        renew(inside, renewal(device.id, stolen, keys.generate_device_key()))
    assert alarms(inside) == [clones.KIND]
    with inside.fleet.change("admin") as change:
        lifecycle.revoke(change, device.id)
    with unchanged(inside.data.path, apart_from=("alerts", "sqlite_sequence")):
        for key in (stolen, thiefs):
            with pytest.raises(DeviceRevoked):
                renew(inside, renewal(device.id, key, keys.generate_device_key()))
            device.key = key
            assert inside.ingest.store([device.message("idle", sequence=0)]).seen == set()


def test_a_renewal_that_is_replayed_changes_nothing(inside: Inside) -> None:
    device, new = inside.device(), keys.generate_device_key()
    inside.clock.turn(60 * DAY)
    recorded = renewal(device.id, device.key, new)
    renew(inside, recorded)
    with unchanged(inside.data.path):
        renew(inside, recorded)
    device.key = new
    device.says("idle", sequence=0)
    with unchanged(inside.data.path, apart_from=("alerts", "sqlite_sequence")), pytest.raises(DeviceRevoked):
        renew(inside, recorded)


def test_a_token_that_leaked_after_its_use_opens_nothing(inside: Inside) -> None:
    for bound_to in (None, inside.device().id):
        token = inside.token(device=bound_to)
        first = keys.generate_device_key()
        if bound_to is None:
            inside.enroll(inside.request(token, first))
        with unchanged(inside.data.path), pytest.raises(TokenRefused):
            inside.enroll(inside.request(token, keys.generate_device_key()))


def test_no_claim_at_all_enrolls_nobody(inside: Inside) -> None:
    blank = msgspec.structs.replace(inside.request(inside.token(), keys.generate_device_key()), token_id="", secret="")
    with unchanged(inside.data.path):
        for claim in ("", "{}", "null", '{"payloadType":"","payload":"","signatures":[]}'):
            with pytest.raises(VerificationError):
                inside.enroll(msgspec.structs.replace(blank, claim=claim))
        with pytest.raises(EdgefleetError):
            renew(inside, b"null")
