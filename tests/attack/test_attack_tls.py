"""Whom an agent takes for its broker: a device says nothing, not even its name, to anybody else."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgefleet_agent import identity
from edgefleet_agent.identity import Identity
from edgefleet_agent.inbox import Inbox
from edgefleet_agent.transport import Transport
from edgefleet_contract.enrolment import BrokerAddress
from edgefleet_server.authority import SERVER_LIFE, Authority, Credentials
from edgefleet_server.clock import DAY, system_clock
from support.agent_fleet import Operator

pytestmark = [
    pytest.mark.attack,
    # paho leaves a socket whose handshake failed to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


class Impostor:
    """A TLS listener that keeps what it hears, and how each connection ended."""

    def __init__(self, credentials: Credentials, highest: ssl.TLSVersion) -> None:
        self.heard = b""
        self.ended = threading.Event()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(credentials.certificate, credentials.key)
        self._context.maximum_version = highest
        if highest < ssl.TLSVersion.TLSv1_2:
            self._context.minimum_version = highest
            self._context.set_ciphers("DEFAULT@SECLEVEL=0")
        self._socket = socket.create_server(("", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            try:
                plain.settimeout(5)
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    self.heard += connection.recv(1024)
            except OSError:
                pass
            finally:
                plain.close()
                self.ended.set()


@contextmanager
def impostor(credentials: Credentials, highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Iterator[Impostor]:
    made = Impostor(credentials, highest)
    try:
        yield made
    finally:
        made.close()


def heard_by(where: Impostor, folder: Path, authority: Authority, *, host: str = "127.0.0.1", now: int) -> bytes:
    """What an agent that believes in ``authority`` tells, at the time ``now``, a listener in its broker's place."""
    data, _ = Operator().enrolled_folder(folder / "data", broker=BrokerAddress(host, where.port))
    identity.authority_path(data).write_text(authority.pem)
    transport = Transport(Identity(data), Inbox())
    transport.start(lambda: now)
    assert where.ended.wait(10), "the agent never called"
    transport.stop()
    return where.heard


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "ca").mkdir()
    return Authority(tmp_path / "ca", system_clock)


def test_the_right_broker_hears_the_devices_name(authority: Authority, tmp_path: Path) -> None:
    with impostor(authority.issue_listener(["127.0.0.1"])) as broker:
        assert b"MQTT" in heard_by(broker, tmp_path, authority, now=system_clock())


def test_a_board_that_lives_in_1970_takes_a_certificate_that_is_not_yet_valid(
    authority: Authority, tmp_path: Path
) -> None:
    with impostor(authority.issue_listener(["127.0.0.1"])) as broker:
        assert b"MQTT" in heard_by(broker, tmp_path, authority, now=1000)


def test_a_broker_whose_certificate_has_expired_hears_nothing(authority: Authority, tmp_path: Path) -> None:
    with impostor(authority.issue_listener(["127.0.0.1"])) as thief:
        assert heard_by(thief, tmp_path, authority, now=system_clock() + SERVER_LIFE + DAY) == b""


def test_a_broker_of_another_authority_hears_nothing(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", system_clock)
    with impostor(other.issue_listener(["127.0.0.1"])) as thief:
        assert heard_by(thief, tmp_path, authority, now=system_clock()) == b""


def test_a_broker_of_another_name_hears_nothing(authority: Authority, tmp_path: Path) -> None:
    with impostor(authority.issue_listener(["elsewhere"])) as thief:
        assert heard_by(thief, tmp_path, authority, host="127.0.0.2", now=system_clock()) == b""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_a_broker_that_speaks_an_old_tls_hears_nothing(authority: Authority, tmp_path: Path) -> None:
    with impostor(authority.issue_listener(["127.0.0.1"]), ssl.TLSVersion.TLSv1_1) as thief:
        assert heard_by(thief, tmp_path, authority, now=system_clock()) == b""
