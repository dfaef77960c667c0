"""From where an act came: recorded for what devices ask over HTTPS, and none for what the policy does by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import msgspec
import pytest

from edgefleet_contract import canonical, dsse, keys
from edgefleet_contract.enrolment import ENROLL_PATH, RENEW_PATH, BatchClaim, EnrollRequest, KeyProof, RenewalRequest
from edgefleet_contract.fingerprint import Fingerprint, hashed
from edgefleet_server.app import device_app
from edgefleet_server.audit import service
from edgefleet_server.authority import DEVICE_LIFE
from edgefleet_server.devices import batches
from support.server_device import make_csr
from support.server_http import served
from support.server_state import Inside

LOOPBACK = "127.0.0.1"


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with closing(Inside(tmp_path)) as opened:
        yield opened


@pytest.fixture
def listener(inside: Inside) -> Iterator[httpx.Client]:
    with served(device_app(inside.fleet)) as client:
        yield client


def ask(listener: httpx.Client, path: str, body: bytes) -> str:
    """Make a device's request; its id."""
    answer = listener.post(path, content=body)
    answer.raise_for_status()
    return str(answer.json()["device"])


def origins(inside: Inside, act: str) -> set[tuple[str, str | None]]:
    """Who did ``act``, and from where."""
    with inside.database.read() as session:
        return {
            (entry.actor, entry.origin)
            for entry in service.entries(session, after=0, limit=1000)
            if entry.act.startswith(act)
        }


def test_enrolment_renewal_and_return_record_where_they_came_from(inside: Inside, listener: httpx.Client) -> None:
    key = keys.generate_device_key()
    device = ask(listener, ENROLL_PATH, canonical.encode(inside.request(inside.token(), key)))
    assert origins(inside, "device.enrolled") == {(device, LOOPBACK)}
    inside.clock.turn(DEVICE_LIFE * 2 // 3)
    renewal = canonical.encode(RenewalRequest(1, device, make_csr(key), 0, "n" * 32))
    ask(listener, RENEW_PATH, dsse.sign(renewal, dsse.RENEWAL, [key]))
    assert origins(inside, "device.renewed") == {(device, LOOPBACK)}
    again = inside.request(inside.token(device=device), key)
    proof = KeyProof(1, keys.public_text(key.public_key()), canonical.sha256(again.csr.encode()), again.token_id)
    signed = dsse.sign(canonical.encode(proof), dsse.KEY_PROOF, [key]).decode()
    ask(listener, ENROLL_PATH, canonical.encode(msgspec.structs.replace(again, proof=signed)))
    assert origins(inside, "device.enrolled_again") == {(device, LOOPBACK)}


def test_a_device_of_a_batch_records_where_it_came_from(inside: Inside, listener: httpx.Client) -> None:
    claim_key = keys.generate_device_key()
    wanted = batches.BatchRequest("line-7", make_csr(claim_key), 2, DEVICE_LIFE, {}, None, None)
    with inside.fleet.change("admin") as change:
        batches.create(change, wanted, inside.authority, inside.fleet.hooks)
    csr = make_csr(keys.generate_device_key())
    claim = canonical.encode(BatchClaim(1, "line-7", canonical.sha256(csr.encode())))
    printed = Fingerprint(serial=hashed("serial", "A1"))
    signed = dsse.sign(claim, dsse.BATCH_CLAIM, [claim_key]).decode()
    request = EnrollRequest(1, "", "", csr, "x86-64", {}, "test", fingerprint=printed, claim=signed)
    device = ask(listener, ENROLL_PATH, canonical.encode(request))
    assert origins(inside, "device.enrolled") == {(device, LOOPBACK)}


def test_what_the_policy_does_came_from_nowhere(inside: Inside) -> None:
    device = inside.device()
    inside.settle(inside.roll_out(inside.push()), device)
    assert {("policy", None)} == origins(inside, "deployment.succeeded") | origins(inside, "rollout.finished")
    assert origins(inside, "deployment.confirmed") == {(device.id, None)}, "through the broker"
