"""A server whose certificate has expired, for a device that knows the time better than its system clock."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import pytest

from edgefleet_agent import identity
from edgefleet_agent.certificate_watch import CertificateWatch
from edgefleet_agent.clock import SystemClock
from edgefleet_agent.disk import Disk
from edgefleet_agent.identity import Identity
from edgefleet_server.authority import SERVER_LIFE
from edgefleet_server.clock import system_clock
from support.agent_broker import eventually
from support.listener import DeviceListener
from support.server_state import Inside

pytestmark = pytest.mark.attack


class TrustedTime(SystemClock):
    """The time that the server signed: the system clock lags."""

    def now_ms(self) -> int:
        return super().now_ms() + 2 * SERVER_LIFE


def test_a_renewal_judges_the_server_by_the_trusted_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[bytes] = []
    with closing(Inside(tmp_path / "server")) as inside, socket.create_server(("127.0.0.1", 0)) as listening:
        inside.clock.now = system_clock()
        folder, card = DeviceListener(inside, monkeypatch).device(tmp_path / "agent")
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        identity.save_card(Disk(), folder, msgspec.structs.replace(card, server=url))
        theirs = inside.authority.issue_listener(["127.0.0.1"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(theirs.certificate, theirs.key)

        def listen() -> None:
            plain, _ = listening.accept()
            with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
                asked.append(connection.recv(1))

        listener = threading.Thread(target=listen)
        listener.start()
        watch = CertificateWatch(folder, Identity(folder), TrustedTime(), lambda: None)

        def has_ended() -> bool:
            watch.tick()
            return "certificate not renewed" in caplog.text

        eventually(has_ended, "the renewal has ended")
        listener.join()
    assert not b"".join(asked), "nothing is asked of it"
    assert "expired" in caplog.text
