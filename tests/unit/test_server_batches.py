"""Batches: one claim certificate for many devices, each taken in once, and never more than there are places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509

from edgefleet_contract import canonical, dsse, keys
from edgefleet_contract.enrolment import BatchClaim, EnrollRequest, EnrollResponse
from edgefleet_contract.errors import BatchRefused, Conflict, SignatureInvalid, StatementMalformed, UsageMalformed
from edgefleet_contract.fingerprint import Fingerprint, hashed
from edgefleet_server.authority import CLAIM_USAGE
from edgefleet_server.clock import DAY
from edgefleet_server.devices import batches
from edgefleet_server.devices.models import Device
from support.server_device import make_csr
from support.server_state import Inside

CLAIM_KEY = keys.generate_device_key()


def make_batch(inside: Inside, **changed: Any) -> str:
    """A batch ``line-7`` of two places; its claim certificate."""
    plain: dict[str, Any] = {
        "name": "line-7", "csr": make_csr(CLAIM_KEY), "count": 2, "life": DAY, "tags": {"line": "7"}, "allow": None,
        "hook": None, **changed,
    }  # fmt: skip
    with inside.fleet.change("admin") as change:
        _, certificate = batches.create(change, batches.BatchRequest(**plain), inside.authority, inside.fleet.hooks)
    return certificate


def request(serial: str, key: Any = None, claim_key: Any = CLAIM_KEY, **changed: Any) -> EnrollRequest:
    """The request of the device with this serial number."""
    csr = make_csr(key or keys.generate_device_key())
    claim = BatchClaim(1, "line-7", canonical.sha256(csr.encode()))
    envelope = dsse.sign(canonical.encode(claim), dsse.BATCH_CLAIM, [claim_key]).decode()
    printed = Fingerprint(serial=hashed("serial", serial))
    plain = EnrollRequest(1, "", "", csr, "x86-64", {}, "test", fingerprint=printed, claim=envelope)
    return msgspec.structs.replace(plain, **changed)


def enroll(inside: Inside, wanted: EnrollRequest) -> EnrollResponse:
    """As the route does it."""
    with inside.database.read() as session:
        question = inside.enroller.question(session, inside.clock(), wanted)
    if question is not None:
        inside.fleet.hooks.ask(question.hook, question.about)
    with inside.fleet.change("device") as change:
        return inside.enroller.enroll(change, wanted, agreed=question is not None)


def enrolled(inside: Inside) -> int:
    with inside.database.read() as session:
        return session.query(Device).count()


def test_devices_of_a_batch_each_get_an_identity_of_their_own(inside: Inside) -> None:
    make_batch(inside)
    one, two = (enroll(inside, request(serial)) for serial in ("A1", "A2"))
    assert one.device != two.device
    with inside.database.read() as session:
        assert [(tag.key, tag.value) for tag in session.get_one(Device, one.device).tags] == [("line", "7")]
    with pytest.raises(BatchRefused, match="All 2 places"):
        enroll(inside, request("A3"))
    assert enrolled(inside) == 2


def test_a_claim_certificate_is_of_a_usage_of_our_own(inside: Inside) -> None:
    certificate = x509.load_pem_x509_certificate(make_batch(inside).encode())
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [CLAIM_USAGE]
    assert certificate.not_valid_after_utc.timestamp() * 1000 == inside.clock() + DAY


def test_a_lost_answer_is_given_again(inside: Inside) -> None:
    make_batch(inside, count=1)
    wanted = request("A1")
    assert enroll(inside, wanted) == enroll(inside, wanted)
    assert enrolled(inside) == 1


@pytest.mark.attack
def test_a_serial_number_is_taken_in_once(inside: Inside) -> None:
    make_batch(inside)
    enroll(inside, request("A1"))
    with pytest.raises(BatchRefused, match="enrolled already"):
        enroll(inside, request("a1 "))
    assert enrolled(inside) == 1


@pytest.mark.attack
def test_only_what_is_on_the_allow_list_gets_in(inside: Inside) -> None:
    make_batch(inside, allow=[hashed("serial", "A1")])
    with pytest.raises(BatchRefused, match="no place"):
        enroll(inside, request("A2"))
    enroll(inside, request("A1"))


@pytest.mark.attack
def test_a_claim_is_good_for_its_own_request_and_by_its_own_key(inside: Inside) -> None:
    make_batch(inside)
    with pytest.raises(SignatureInvalid):
        enroll(inside, request("A1", claim_key=keys.generate_device_key()))
    stolen = request("A1").claim
    with pytest.raises(StatementMalformed, match="another request"):
        enroll(inside, request("A1", claim=stolen))
    with pytest.raises(BatchRefused, match="to be known by"):
        enroll(inside, request("A1", fingerprint=Fingerprint()))
    with pytest.raises(StatementMalformed, match="no hash"):
        enroll(inside, request("A1", fingerprint=Fingerprint(serial="A1")))
    assert enrolled(inside) == 0


@pytest.mark.attack
def test_a_closed_or_expired_batch_lets_nobody_in(inside: Inside) -> None:
    make_batch(inside)
    inside.clock.turn(DAY)
    with pytest.raises(BatchRefused, match="expired"):
        enroll(inside, request("A1"))
    inside.clock.turn(-DAY)
    for _ in range(2):
        with inside.fleet.change("admin") as change:
            assert batches.close(change, "line-7").closed_at == inside.clock()
    with pytest.raises(BatchRefused, match="closed"):
        enroll(inside, request("A1"))
    assert inside.acts().count("batch.closed") == 1


def hook(inside: Inside, name: str, script: str) -> str:
    path = inside.data.hooks / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return name


def test_a_hook_is_asked_about_each_device_once(inside: Inside, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    make_batch(inside, hook=hook(inside, "ask", f"cat >> {asked}; echo >> {asked}"))
    wanted = request("A1")
    enroll(inside, wanted)
    enroll(inside, wanted)
    [line] = asked.read_text().splitlines()
    question = msgspec.json.decode(line)
    assert (question["batch"], question["fingerprint"]["serial"]) == ("line-7", hashed("serial", "A1"))


@pytest.mark.attack
def test_a_hook_that_does_not_agree_keeps_the_device_out(inside: Inside) -> None:
    make_batch(inside, hook=hook(inside, "no", "exit 1"))
    with pytest.raises(BatchRefused, match="does not take"):
        enroll(inside, request("A1"))
    with pytest.raises(BatchRefused, match="not asked"), inside.fleet.change("device") as change:
        inside.enroller.enroll(change, request("A1"))
    (inside.data.hooks / "no").unlink()
    with pytest.raises(BatchRefused, match="could not be asked"):
        enroll(inside, request("A1"))
    assert enrolled(inside) == 0


@pytest.mark.attack
@pytest.mark.parametrize("name", ["../../bin/true", "/bin/true", "missing", "os:system", ""])
def test_a_hook_is_a_program_of_the_servers_owner(inside: Inside, name: str) -> None:
    with pytest.raises(UsageMalformed, match="hook"):
        make_batch(inside, hook=name)


@pytest.mark.parametrize(
    "changed",
    [{"name": "Line 7"}, {"count": 0}, {"count": 100_001}, {"life": 1}, {"life": 366 * DAY}, {"allow": []},
     {"allow": ["A1"]}, {"tags": {"": "x"}}],
)  # fmt: skip
def test_a_batch_that_is_none_is_refused(inside: Inside, changed: dict[str, Any]) -> None:
    with pytest.raises(UsageMalformed):
        make_batch(inside, **changed)


def test_a_name_or_key_is_used_for_one_batch(inside: Inside) -> None:
    make_batch(inside)
    with pytest.raises(Conflict):
        make_batch(inside, csr=make_csr(keys.generate_device_key()))
    with pytest.raises(Conflict):
        make_batch(inside, name="line-8")
