"""Who was revoked is out of the broker at once, for good, and takes nobody along."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from edgefleet_contract.errors import BrokerFailed
from edgefleet_server.alerts import service as alerts
from edgefleet_server.alerts.models import Alert
from edgefleet_server.alerts.revocation import TRIES, RevocationWatch
from edgefleet_server.authority import Authority
from edgefleet_server.broker import mosquitto
from edgefleet_server.broker.choice import write_for_elsewhere
from edgefleet_server.broker.kick import is_accepted, kick
from edgefleet_server.broker.revocation import Revocations
from edgefleet_server.broker.settings import BrokerSettings
from edgefleet_server.clock import DAY, system_clock
from support.brokers import RunningBroker, running_broker
from support.ports import free_port
from support.server_device import client_context
from support.server_runs import running_site, until
from support.server_state import Inside

pytestmark = [pytest.mark.integration, pytest.mark.attack]

A, B = "d-aaaaaaaaaaaaaaaa", "d-bbbbbbbbbbbbbbbb"


def up(device: str) -> str:
    return f"fleet/v1/d/{device}/up/reported"


def down(device: str, name: str = "desired") -> str:
    return f"fleet/v1/d/{device}/down/{name}"


@pytest.fixture(params=["mosquitto", "amqtt"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    with running_broker(tmp_path, request.param) as running:
        yield running


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    with running_broker(tmp_path, "mosquitto") as running:
        yield running


def test_a_revoked_device_is_thrown_out_and_stays_out_and_the_others_notice_nothing(either: RunningBroker) -> None:
    mine = either.credentials(A)
    with (
        closing(either.server().connect("fleet/v1/#")) as server,
        closing(either.client(B, either.credentials(B), returns=False).connect(down(B))) as other,
        closing(either.client(A, mine).connect(down(A))) as device,
    ):
        device.publish(up(A), b"honest")
        server.wait_for(b"honest")
        either.revoke(mine, kick=(A,))
        until(lambda: not device.is_connected)
        server.publish(down(A), b"secret")
        with closing(either.client(A, mine, returns=False)) as again:
            assert not again.accepted()
        server.publish(down(B), b"for B")
        other.wait_for(b"for B")
        assert b"secret" not in [payload for _, payload in device.received]


def test_a_device_may_come_back_with_another_certificate_and_finds_nothing_of_the_old_session(
    broker: RunningBroker,
) -> None:
    mine = broker.credentials(A)
    with closing(broker.server().connect()) as server:
        with closing(broker.client(A, mine, clean=False, returns=False).connect(down(A, "ack"))) as device:
            broker.revoke(mine, kick=(A,))
            until(lambda: not device.is_connected)
            server.publish(down(A, "ack"), b"for the old session")
        with closing(broker.client(A, broker.credentials(A), clean=False).connect(down(A, "ack"))) as renewed:
            server.publish(down(A, "ack"), b"for the new one")
            renewed.wait_for(b"for the new one")
            assert [payload for _, payload in renewed.received] == [b"for the new one"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_tls_session_does_not_outlive_the_revocation(broker: RunningBroker, version: ssl.TLSVersion) -> None:
    mine = broker.credentials(A)
    context = ssl.create_default_context(cafile=str(broker.authority.certificate_path))
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(mine.certificate, mine.key)

    def session(of: ssl.SSLSession | None) -> ssl.SSLSession | None:
        connection = socket.create_connection(("127.0.0.1", broker.port), 5)
        with connection, context.wrap_socket(connection, server_hostname="127.0.0.1", session=of) as secured:
            assert is_accepted(secured, A)
            return secured.session

    ticket = session(session(None))
    broker.revoke(mine)
    with pytest.raises(OSError, match=r"(?i)revoked|eof|reset"):
        session(ticket)


@pytest.mark.parametrize(("version", "accepted"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_the_broker_speaks_tls_from_1_2_on(broker: RunningBroker, version: str, accepted: bool) -> None:
    mine = broker.credentials(A)
    command = (
        "openssl", "s_client", "-connect", f"127.0.0.1:{broker.port}", "-CAfile", broker.authority.certificate_path,
        "-cert", mine.certificate, "-key", mine.key, f"-{version.lower().replace('v', '')}", "-verify_return_error",
        "-cipher", "DEFAULT@SECLEVEL=0",
    )  # fmt: skip
    done = subprocess.run([str(word) for word in command], input=b"", capture_output=True, timeout=20, check=False)
    assert (b"Verify return code: 0 (ok)" in done.stdout and b"Cipher is (NONE)" not in done.stdout) == accepted


def test_the_door_for_kicks_is_the_owners_alone_and_leads_to_no_topic(broker: RunningBroker) -> None:
    door = broker.folder / "broker" / "kick.sock"
    until(door.exists)
    broker.revocations.enforce()
    assert stat.S_IMODE(door.stat().st_mode) == 0o600
    assert stat.S_IMODE(door.parent.stat().st_mode) == 0o700
    with (
        closing(broker.server().connect("fleet/v1/#", "elsewhere")) as server,
        closing(broker.client(A, broker.credentials(A)).connect(down(A))) as device,
        socket.socket(socket.AF_UNIX) as intruder,
    ):
        intruder.settimeout(5)
        intruder.connect(str(door))
        assert is_accepted(intruder, "intruder")
        for topic in (down(A), up(A), "elsewhere"):
            name = topic.encode()
            body = len(name).to_bytes(2, "big") + name + b"forged"
            intruder.sendall(bytes([0x30, len(body)]) + body)
        everything = b"\x00\x01\x00\x01#\x00"
        intruder.sendall(bytes([0x82, len(everything)]) + everything)
        assert intruder.recv(5)[:1] == b"\x90"  # SUBACK, which says nothing
        server.publish(down(A), b"control")
        device.wait_for(b"control")
        assert [payload for _, payload in device.received] == [b"control"]
        assert b"forged" not in [payload for _, payload in server.received]
        intruder.settimeout(0.2)
        with pytest.raises(TimeoutError):
            intruder.recv(1)


def test_the_last_will_of_a_kicked_device_reaches_its_own_topics_only(broker: RunningBroker) -> None:
    mine = broker.credentials(A)
    with closing(broker.server().connect("fleet/v1/#")) as server:
        for topic in (down(B), up(B)):
            client = broker.client(A, mine, returns=False)
            client._client.will_set(topic, b"testament", 1)
            with closing(client.connect()) as device:
                assert kick(broker.folder / "broker" / "kick.sock", A)
                until(lambda device=device: not device.is_connected)
        server.publish(up(A), b"control")
        server.wait_for(b"control")
        assert b"testament" not in [payload for _, payload in server.received]


def test_a_broker_that_was_killed_starts_with_the_newest_list(broker: RunningBroker) -> None:
    mine = broker.credentials(A)
    child = broker.supervisor._child
    assert child is not None
    child.kill()
    until(lambda: broker.restarts == 1)
    until(lambda: attempt(broker))
    broker.revoke(mine, kick=(A,))
    with closing(broker.client(A, mine, returns=False)) as device:
        assert not device.accepted()


def attempt(broker: RunningBroker) -> bool:
    try:
        return broker.revocations.is_enforced()
    except BrokerFailed:
        return False


@pytest.fixture
def deaf(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> Revocations:
    """The list of a broker child that is never told to read it again."""
    monkeypatch.setattr("edgefleet_server.broker.revocation._PATIENCE", 0.1)
    return Revocations(
        BrokerSettings(broker.folder / "broker", "127.0.0.1", broker.port, broker.authority.certificate_path,
                       broker.authority.issue_listener(["127.0.0.1"], "other")),
        "127.0.0.1", authority=broker.authority, clock=system_clock, read=lambda: [(7, 0)], reload=lambda: None,
    )  # fmt: skip


def test_a_list_that_the_broker_does_not_read_is_told(deaf: Revocations) -> None:
    with pytest.raises(BrokerFailed, match="still lets in"):
        deaf.enforce()
    assert not deaf.is_enforced()


def test_a_list_that_the_broker_does_not_read_for_long_opens_an_alert_until_it_does(
    broker: RunningBroker, deaf: Revocations, tmp_path: Path
) -> None:
    (folder := tmp_path / "server").mkdir()
    with closing(Inside(folder)) as inside:
        watch = RevocationWatch(inside.database, inside.clock, deaf)
        told = []
        for _ in range(TRIES + 1):
            with pytest.raises(BrokerFailed):
                watch.enforce()
            told.append([(alert.kind, alert.count) for alert in open_alerts(inside)])
        assert told == [[]] * (TRIES - 1) + [[("revocation", 1)]] * 2
        assert "still lets in" in open_alerts(inside)[0].text
        broker.supervisor.reload()
        until(deaf.is_enforced)
        watch.enforce()
        assert open_alerts(inside) == []


def open_alerts(inside: Inside) -> list[Alert]:
    with inside.database.read() as session:
        return alerts.alerts(session, everything=False)


def test_a_list_stays_as_it_is_while_it_is_right_and_is_written_again_long_before_it_ends(tmp_path: Path) -> None:
    broker = RunningBroker(tmp_path, "mosquitto")
    now, revoked = system_clock(), [(7, 0)]

    def prepared(later: int) -> bytes:
        """What lies there after another start of the server."""
        settings = BrokerSettings(
            tmp_path / "broker", "127.0.0.1", broker.port, broker.authority.certificate_path,
            broker.authority.issue_listener(["127.0.0.1"]),
        )  # fmt: skip
        Revocations(
            settings, "127.0.0.1", authority=Authority(tmp_path / "ca", lambda: now + later),
            clock=lambda: now + later, read=lambda: revoked, reload=None,
        ).prepare()  # fmt: skip
        return settings.revocations.read_bytes()

    first = prepared(0)
    assert prepared(29 * DAY) == first
    assert prepared(31 * DAY) != first
    revoked.append((8, 0))
    assert {entry.serial_number for entry in x509.load_pem_x509_crl(prepared(31 * DAY))} > {7, 8}


def test_a_deep_data_folder_has_room_for_the_door(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 5)
    folder.mkdir(parents=True)
    with running_broker(folder, "mosquitto") as broker:
        mine = broker.credentials(A)
        with closing(broker.client(A, mine, returns=False).connect()) as device:
            broker.revoke(mine, kick=(A,))
            until(lambda: not device.is_connected)


def test_a_mosquitto_elsewhere_is_set_up_reloaded_and_kicked_as_the_guide_says(tmp_path: Path) -> None:
    here = RunningBroker(tmp_path, "mosquitto")
    there = tmp_path / "there"
    there.mkdir(mode=0o700)
    port = free_port()
    here.port = port
    settings = BrokerSettings(
        tmp_path / "broker", "", port, here.authority.certificate_path,
        here.authority.issue_listener(["127.0.0.1"], "broker"), is_child=False,
    )  # fmt: skip
    revoked: list[tuple[int, int]] = []
    revocations = Revocations(
        settings, "127.0.0.1", authority=here.authority, clock=system_clock, read=lambda: revoked, reload=None
    )
    revocations.prepare()
    write_for_elsewhere(settings)

    def copy() -> None:
        """What the guide tells an operator to do: the folder ``broker``, three files of ``ca``, the paths adapted."""
        for file in settings.folder.iterdir():
            if file.name != "probe.pem":
                shutil.copy(file, there)
        for file in (settings.authority, settings.listener.certificate, settings.listener.key):
            shutil.copy(file, there)
        text = (there / "mosquitto.conf").read_text()
        for old in (settings.folder, settings.authority.parent):
            text = text.replace(f"{old}/", f"{there}/")
        (there / "mosquitto.conf").write_text(text)

    copy()
    executable = mosquitto.program()
    assert executable is not None
    theirs = subprocess.Popen([executable, "-c", str(there / "mosquitto.conf")], stderr=subprocess.DEVNULL, cwd="/")
    try:
        until((there / "kick.sock").exists)
        mine = here.credentials(A)
        with closing(here.server().connect(up(A))) as server, closing(here.client(A, mine).connect(down(A))) as device:
            device.publish(up(A), b"honest")
            server.wait_for(b"honest")
            server.publish(down(A), b"answer")
            device.wait_for(b"answer")
            number = x509.load_pem_x509_certificate(mine.certificate.read_bytes()).serial_number
            revoked.append((number, system_clock()))
            revocations.leave([A])
            assert not revocations.enforce(), "nobody has brought it the list"
            assert device.is_connected
            copy()
            os.kill(theirs.pid, 1)
            until(revocations.enforce)
            kicked = [sys.executable, "-I", str(there / "kick.py"), str(there / "kick.sock"), A]
            assert subprocess.run(kicked, cwd="/", check=False, timeout=20).returncode == 0
            until(lambda: not device.is_connected)
            with closing(here.client(A, mine, returns=False)) as again:
                assert not again.accepted()
    finally:
        theirs.terminate()
        theirs.wait()


def test_a_device_that_is_revoked_by_the_operator_is_out_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_site(tmp_path, capsys) as site:
        stays, leaves = site.device(), site.device()
        for device in (stays, leaves):
            device.wait_ack("reported", device.report("idle"))
        token = (tmp_path / "data" / "admin.token").read_text().strip()
        answer = httpx.post(
            f"{site.server.addresses.console}/api/v1/devices/{leaves.id}/revoke",
            headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        until(lambda: not leaves._client.is_connected())
        broker, context = site.server.addresses.broker, client_context(tmp_path / "again", leaves.identity)
        plain = socket.create_connection((broker.host, broker.port), 5)
        with (
            plain,
            pytest.raises(OSError, match=r"(?i)revoked|eof|reset"),
            context.wrap_socket(plain, server_hostname=broker.host) as secured,
        ):
            is_accepted(secured, leaves.id)
        stays.wait_ack("reported", stays.report("idle"))
