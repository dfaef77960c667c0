"""Whoever can bring an old copy of the server back can make it forget, and not make a device go back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from edgefleet_agent import claims, enrolment
from edgefleet_agent import renewal as agent_renewal
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Identity
from edgefleet_contract import canonical, dsse, keys, messages, topics
from edgefleet_contract.enrolment import BatchClaim, ClaimToken, EnrollRequest, RenewalRequest
from edgefleet_contract.errors import BatchRefused, DeviceRevoked, SignatureInvalid, Unauthorized, UsageMalformed
from edgefleet_contract.fingerprint import Fingerprint, hashed
from edgefleet_contract.messages import Reported
from edgefleet_server import surviving
from edgefleet_server.alerts import service as alerts
from edgefleet_server.authority import DEVICE_LIFE, Authority
from edgefleet_server.backup import sealing
from edgefleet_server.backup.restore import restore
from edgefleet_server.clock import DAY
from edgefleet_server.devices import batches, certificates, lifecycle
from edgefleet_server.mqtt import Incoming
from edgefleet_server.users import accounts, api_tokens, sessions
from edgefleet_server.users.roles import Role
from support.listener import HERE, DeviceListener
from support.restored import PASSPHRASE, backed_up, restored
from support.server_device import make_csr
from support.server_people import token
from support.server_state import NOON, Inside, StandIn
from support.tiny_bundles import tiny_bundle
from support.unchanged import unchanged

pytestmark = pytest.mark.attack


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with closing(Inside(tmp_path)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def quick_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work factor protects weak passphrases; no attack here guesses one."""
    monkeypatch.setattr(sealing, "_SCRYPT_N", 1 << 4)


def test_a_restored_server_goes_on_above_what_its_devices_report(inside: Inside) -> None:
    device = inside.device()
    forgotten = NOON // 1000 + 5000  # of an assignment that the lost server made, by a clock that went fast
    device.says("confirmed", sequence=forgotten, running="a" * 64, confirmed=["a" * 64])
    inside.roll_out(inside.push(tiny_bundle(inside.folder)))
    assert device.assignment().sequence > forgotten


def test_a_restored_server_goes_on_above_what_it_cannot_know(inside: Inside) -> None:
    """A device that sleeps reports nothing; sequences grow from Unix seconds, so that the clock alone is above them."""
    device = inside.device()
    inside.roll_out(inside.push(tiny_bundle(inside.folder)))
    assert device.assignment().sequence >= inside.clock() // 1000


def test_a_device_that_the_backup_forgot_changes_nothing_and_is_told(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "lost").mkdir()
    with closing(Inside(tmp_path / "lost")) as lost:
        forgotten = lost.device()
        message = forgotten.message("idle", sequence=0)
    with unchanged(inside.data.path, apart_from=("alerts",)):
        for _ in range(3):
            inside.ingest.store([message])
    with inside.database.read() as session:
        assert [alert.cause for alert in alerts.alerts(session, everything=False)] == [f"unknown:{forgotten.id}"]


def test_a_batch_of_a_restored_backup_takes_nobody_in(inside: Inside) -> None:
    key = keys.generate_device_key()
    wanted = batches.BatchRequest("line-7", make_csr(key), 2, DAY, {}, None, None)
    with inside.fleet.change("admin") as change:
        batches.create(change, wanted, inside.authority, inside.fleet.hooks)
    file = backed_up(inside)
    csr = make_csr(keys.generate_device_key())
    claim = BatchClaim(1, "line-7", canonical.sha256(csr.encode()))
    request = EnrollRequest(
        1, "", "", csr, "x86-64", {}, "test", fingerprint=Fingerprint(serial=hashed("serial", "A1")),
        claim=dsse.sign(canonical.encode(claim), dsse.BATCH_CLAIM, [key]).decode(),
    )  # fmt: skip
    with restored(inside, file) as again, pytest.raises(BatchRefused, match="closed"):
        again.enroll(request)


def test_no_session_word_or_token_of_a_restored_backup_opens_the_server(inside: Inside) -> None:
    text = token(inside, Role.ADMIN)
    with inside.fleet.change("admin") as change:
        _, word = accounts.add(change, "eve", Role.ADMIN)
        cookie = sessions.begin(change.session, change.now, user="eve")
    file = backed_up(inside)
    with restored(inside, file) as again, again.database.read() as session:
        assert sessions.principal(session, again.clock(), cookie, None, None) is None
        with pytest.raises(Unauthorized):
            accounts.check_setup_word(session, again.clock(), "eve", word)
        with pytest.raises(Unauthorized, match="revoked"):
            api_tokens.check(session, again.clock(), text)
        assert again.acts()[-1] == "server.restored"


def test_a_device_of_a_surviving_revocation_list_is_not_let_in_again(inside: Inside) -> None:
    gone, late = inside.device(), inside.device()
    file, listed = backed_up(inside), inside.folder / "revoked.crl"
    renewed = renewed_key(inside, late)
    late.says("idle", sequence=0)  # with the new key: its old certificate is revoked
    with inside.fleet.change("admin") as change:
        for device in (gone, late):
            lifecycle.revoke(change, device.id)
    with inside.database.read() as session:
        revoked = certificates.revoked(session, inside.clock())
    assert len(revoked) == 3
    listed.write_bytes(inside.authority.crl(revoked))
    with restored(inside, file, listed) as again:
        with again.database.read() as session:
            assert len(certificates.revoked(session, again.clock())) == 2, "the backup knows nothing of the third"
        assert {serial for serial, _ in surviving.kept(again.data.authority)} == {serial for serial, _ in revoked}
        for device, key in ((gone, gone.key), (late, renewed)):
            with pytest.raises((DeviceRevoked, SignatureInvalid)), again.fleet.change("device") as change:
                again.enroller.renewer.renew(change, renewal(device, key, keys.generate_device_key()))


def test_a_revocation_list_of_somebody_else_is_refused(inside: Inside, tmp_path: Path) -> None:
    file, listed = backed_up(inside), inside.folder / "revoked.crl"
    (tmp_path / "ca").mkdir()
    for content in (b"no list", Authority(tmp_path / "ca", inside.clock).crl([])):
        listed.write_bytes(content)
        with pytest.raises(UsageMalformed):
            restore(file, inside.folder / "again", lambda: PASSPHRASE, revocations=listed)
        assert not (inside.folder / "again").exists()


def test_a_device_that_renewed_after_the_backup_comes_back_with_its_own_token_alone(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = DeviceListener(inside, monkeypatch)
    folder, card = listener.device(inside.folder / "agent")
    other, _ = listener.device(inside.folder / "other")
    file = backed_up(inside)
    for agent in (folder, other, folder, other):  # twice, so that no key is left that the backup knows
        inside.clock.turn(DEVICE_LIFE // 3)
        agent_renewal.renew(agent, Disk(), inside.clock(), listener.renew)
    newest = x509.load_pem_x509_certificate(Identity(folder).certificate_file.read_bytes())
    with restored(inside, file) as again:
        there = DeviceListener(again, monkeypatch)
        with pytest.raises(SignatureInvalid):
            agent_renewal.renew(folder, Disk(), again.clock(), there.renew)
        token = again.token(device=card.device)
        with pytest.raises(SignatureInvalid):
            come_back(other, token)
        come_back(folder, token)
        said = Reported(1, card.device, again.clock(), "b" * 16, 1, 0, "idle", None, [], None, "x86-64", "test", {})
        envelope = Identity(folder).sign(messages.encode(said), dsse.REPORTED)
        stored = again.ingest.store([Incoming(topics.of(topics.REPORTED, card.device), envelope, 1, 1)])
        assert stored.acks
        with again.fleet.change("admin") as change:
            lifecycle.revoke(change, card.device)
            listed = dict(certificates.revoked(change.session, change.now))
        assert newest.serial_number in listed, "what the backup did not know is revoked with the device"


def test_a_key_that_was_revoked_is_not_taken_up_with_a_token(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = DeviceListener(inside, monkeypatch)
    folder, card = listener.device(inside.folder / "agent")
    file, listed = backed_up(inside), inside.folder / "revoked.crl"
    inside.clock.turn(DEVICE_LIFE * 2 // 3)
    agent_renewal.renew(folder, Disk(), inside.clock(), listener.renew)
    with inside.fleet.change("admin") as change:
        lifecycle.revoke(change, card.device)
        listed.write_bytes(inside.authority.crl(certificates.revoked(change.session, change.now)))
    with restored(inside, file, listed) as again:
        DeviceListener(again, monkeypatch)
        with pytest.raises(DeviceRevoked):
            come_back(folder, again.token(device=card.device))


def come_back(folder: DataFolder, token: ClaimToken) -> None:
    machine = enrolment.Machine("x86-64", {}, HERE)
    enrolment.enroll_again(folder, Disk(), claim=claims.of_token(token), machine=machine)


def renewal(device: StandIn, signer: Any, key: Any) -> bytes:
    request = RenewalRequest(1, device.id, make_csr(key), 0, "n" * 32)
    return dsse.sign(canonical.encode(request), dsse.RENEWAL, [signer])


def renewed_key(inside: Inside, device: StandIn) -> Any:
    """Renew ``device``; the key that it has now."""
    inside.clock.turn(DEVICE_LIFE * 2 // 3)
    key = keys.generate_device_key()
    with inside.fleet.change("device") as change:
        inside.enroller.renewer.renew(change, renewal(device, device.key, key))
    device.key = key
    return key
