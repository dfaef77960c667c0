"""A broker in an attacker's hands, at the other end of the server's connection."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edgefleet_server import mqtt
from edgefleet_server.authority import Authority
from edgefleet_server.clock import system_clock
from edgefleet_server.mqtt import WAITING, Connection
from support.agent_broker import eventually

pytestmark = pytest.mark.attack

CONNACK = bytes((0x20, 2, 0, 0))
MEGABYTE = 1 << 20


@contextmanager
def accepted(folder: Path) -> Iterator[tuple[Connection, ssl.SSLSocket]]:
    """The server's connection, and the attacker's end of it."""
    authority = Authority(folder, system_clock)
    theirs = authority.issue_listener(["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs.certificate, theirs.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection = Connection(
            "127.0.0.1", listening.getsockname()[1], authority.certificate_path, authority.issue_server()
        )
        connection.start()
        plain, _ = listening.accept()
        with context.wrap_socket(plain, server_side=True) as broker:
            broker.settimeout(20)
            broker.recv(4096)
            broker.sendall(CONNACK)
            eventually(lambda: connection.is_connected, "the server takes it for its broker")
            try:
                yield connection, broker
            finally:
                connection.stop()


def test_the_server_hangs_up_on_a_packet_that_no_device_can_send(tmp_path: Path) -> None:
    with accepted(tmp_path) as (connection, broker):
        sent = 0
        with suppress(OSError):
            broker.sendall(bytes((0x32, 0xFF, 0xFF, 0xFF, 0x7F)))  # PUBLISH, 268,435,455 bytes
            while sent < 32 * MEGABYTE:
                broker.sendall(bytes(MEGABYTE))
                sent += MEGABYTE
        eventually(lambda: sent < 32 * MEGABYTE and not connection.is_connected, "the server has hung up")


def test_the_server_holds_no_more_messages_than_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "_PATIENCE", 0.001)
    with accepted(tmp_path) as (connection, broker):
        for number in range(1, WAITING + 3):
            body = b"\0\1t" + number.to_bytes(2, "big") + b"payload"
            broker.sendall(bytes((0x32, len(body))) + body)
        told = b""
        while not all((WAITING + extra).to_bytes(2, "big") in told for extra in (1, 2)):
            told += broker.recv(4096)  # acknowledged to the broker, and to no device
        assert connection.incoming.qsize() == WAITING
