"""The brokers as the server configures them, and clients that try what they may and may not do."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.enums import CallbackAPIVersion

from edgefleet_contract import keys
from edgefleet_server.authority import SERVER_NAME, Authority, Credentials
from edgefleet_server.broker.choice import command_for
from edgefleet_server.broker.revocation import Revocations
from edgefleet_server.broker.settings import BrokerSettings
from edgefleet_server.broker.supervisor import Supervisor
from edgefleet_server.clock import system_clock
from support.ports import free_port

WAIT = 15.0  # seconds: only a failing test waits that long


class RunningBroker:
    """A broker child on a free port, and the authority that it trusts."""

    def __init__(self, folder: Path, kind: str) -> None:
        for name in ("ca", "broker"):
            (folder / name).mkdir(mode=0o700)
        self.folder = folder
        self.authority = Authority(folder / "ca", system_clock)
        self.port = free_port()
        settings = BrokerSettings(
            folder / "broker", "127.0.0.1", self.port, self.authority.certificate_path,
            self.authority.issue_listener(["127.0.0.1"]),
        )  # fmt: skip
        self.restarts = 0
        self.supervisor = Supervisor(command_for(kind, settings), folder / "broker" / "broker.log", self._restarted)
        self.revoked: list[tuple[int, int]] = []
        self.revocations = Revocations(
            settings, "127.0.0.1", authority=self.authority, clock=system_clock, read=lambda: self.revoked,
            reload=self.supervisor.reload,
        )  # fmt: skip
        self.revocations.prepare()
        self.server_credentials = self.authority.issue_server()

    def _restarted(self) -> None:
        self.restarts += 1

    def credentials(self, name: str, authority: Authority | None = None) -> Credentials:
        """A certificate for ``name``, by our authority or another one."""
        key: ec.EllipticCurvePrivateKey = keys.generate_device_key()
        certificate, _ = (authority or self.authority).issue_device(name, key.public_key())
        found = Credentials(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        found.certificate.write_text(certificate)
        found.key.write_bytes(keys.to_pem(key))
        return found

    def revoke(self, *revoked: Credentials, kick: tuple[str, ...] = ()) -> None:
        """Take certificates back, and end the sessions of ``kick``."""
        numbers = [x509.load_pem_x509_certificate(found.certificate.read_bytes()).serial_number for found in revoked]
        self.revoked += [(number, system_clock()) for number in numbers]
        self.revocations.leave(kick)
        self.revocations.enforce()

    def client(self, name: str, credentials: Credentials | None, *, clean: bool = True, returns: bool = True) -> Client:
        return Client(self, name, credentials, clean=clean, returns=returns)

    def server(self) -> Client:
        return Client(self, SERVER_NAME, self.server_credentials)


class Client:
    """A paho client that remembers what it received; by default it connects again when it is thrown out."""

    def __init__(
        self,
        broker: RunningBroker,
        name: str,
        credentials: Credentials | None,
        *,
        clean: bool = True,
        returns: bool = True,
    ) -> None:
        context = ssl.create_default_context(cafile=str(broker.authority.certificate_path))
        if credentials is not None:
            context.load_cert_chain(credentials.certificate, credentials.key)
        self.received: list[tuple[str, bytes]] = []
        self._changed = threading.Condition()
        self._connected = False
        self._granted = 0
        self._port = broker.port
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean, reconnect_on_failure=returns
        )
        self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def connect(self, *filters: str) -> Client:
        """Connect, and subscribe with QoS 1; a SUBACK says nothing about what will be delivered."""
        assert self.accepted(), "the broker refused"
        for name in filters:
            granted = self._granted
            self._client.subscribe(name, 1)
            self._wait(lambda granted=granted: self._granted > granted)
        return self

    def accepted(self) -> bool:
        """Whether the broker lets us in."""
        try:
            self._client.connect("127.0.0.1", self._port)
        except (OSError, ssl.SSLError):
            return False
        self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._connected or self._refused, WAIT)
            return self._connected

    @property
    def is_connected(self) -> bool:
        return self._connected

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1, and wait for the broker's word (which may be that it was refused)."""
        self._client.publish(topic, payload, 1, retain).wait_for_publish(WAIT)

    def wait_for(self, payload: bytes) -> None:
        """Wait until a message with ``payload`` has come."""
        self._wait(lambda: any(data == payload for _, data in self.received))

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    _refused = False

    def _wait(self, done: object) -> None:
        assert callable(done)
        with self._changed:
            assert self._changed.wait_for(done, WAIT), self.received

    def _notify(self, **changed: object) -> None:
        with self._changed:
            for name, value in changed.items():
                setattr(self, name, value)
            self._changed.notify_all()

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: object, _properties: object) -> None:
        failed = bool(getattr(reason, "is_failure", True))
        self._notify(_connected=not failed, _refused=failed)

    def _on_disconnect(self, *_: object) -> None:
        self._notify(_connected=False, _refused=True)

    def _on_subscribe(self, *_: object) -> None:
        self._notify(_granted=self._granted + 1)

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.received.append((message.topic, bytes(message.payload)))
        self._notify()


@contextmanager
def running_broker(folder: Path, kind: str) -> Iterator[RunningBroker]:
    """A broker child, stopped at the end."""
    broker = RunningBroker(folder, kind)
    broker.supervisor.start("127.0.0.1", broker.port, WAIT)
    try:
        yield broker
    finally:
        broker.supervisor.stop()
