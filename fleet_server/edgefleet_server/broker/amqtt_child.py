"""The process that is the amqtt broker, made strict where amqtt 0.12 is not.

Six things are added, without which a device could pass for another one or be left unserved (seen in amqtt 0.12.1):

- clients *must* have a certificate (amqtt only asks for one);
- the certificate's subject *is* the client id and user name, whatever the client says, before amqtt looks for a session
  of that name: it takes over and even deletes sessions of clients that it then refuses;
- certificates on the fleet's revocation list are refused, and at SIGHUP their live connections end;
- topics are checked against the fleet's access list;
- retained messages are given to a returning client only for what it may read: amqtt offers it those of all
  subscriptions of all clients;
- a client that returns is let in once its former connection has ended: amqtt shares one session between both, and the
  end of the former one marks it as disconnected under the feet of the new one, which is then served nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import amqtt.broker
from amqtt.broker import Broker
from amqtt.contexts import Action, BrokerConfig, ListenerConfig
from amqtt.errors import MQTTError
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session
from cryptography import x509
from cryptography.x509.oid import NameOID

from edgefleet_server.broker import acl


class CertificateIsIdentity(BaseAuthPlugin):  # type: ignore[misc] # amqtt is not typed for us
    """Accepts who has a name: ``NamedByCertificate`` has taken it from a verified certificate."""

    async def authenticate(self, *, session: Session) -> bool:
        """Whether the session has a name."""
        return bool(session.client_id) and session.client_id == session.username


class FleetTopics(BaseTopicPlugin):  # type: ignore[misc] # amqtt is not typed for us
    """The access list."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Whether ``session`` may do ``action`` with ``topic``."""
        if session is None or not topic:
            return False
        if action == Action.PUBLISH:
            return acl.may_publish(session.client_id, topic)
        return acl.may_read(session.client_id, topic)


_PATIENCE_S = 1.0  # for a connection to end by itself, before its task is cancelled


@dataclass(frozen=True)
class Connection:
    """A client's connection, the task that serves it, and the number of its certificate."""

    handler: BrokerProtocolHandler
    task: asyncio.Task[Any]
    serial: int


class Connections:
    """At most one connection a client: a new one ends the former, and waits for it."""

    def __init__(self) -> None:
        self._of: dict[str, Connection] = {}

    async def succeed(self, name: str, handler: BrokerProtocolHandler, serial: int) -> None:
        """Make the current task's connection the client's only one.

        Args:
            name: The client's, by its certificate.
            handler: Of the new connection.
            serial: Of the certificate.
        """
        while (former := self._of.get(name)) is not None and not former.task.done():
            await _end(former)
        task = asyncio.current_task()
        assert task is not None, "amqtt serves each connection in a task of its own"
        self._of[name] = Connection(handler, task, serial)

    async def end_revoked(self, revoked: set[int]) -> None:
        """End the connections of certificates that are no longer good."""
        for connection in [found for found in self._of.values() if found.serial in revoked]:
            await _end(connection)


async def _end(connection: Connection) -> None:
    await connection.handler.handle_connection_closed()
    await asyncio.wait({connection.task}, timeout=_PATIENCE_S)
    connection.task.cancel()
    await asyncio.wait({connection.task}, timeout=_PATIENCE_S)


class NamedByCertificate(BrokerProtocolHandler):  # type: ignore[misc] # amqtt is not typed for us
    """Names each client by its certificate, as mosquitto's ``use_identity_as_username`` does."""

    connections: ClassVar = Connections()
    revocations: ClassVar[Path]

    @classmethod
    async def init_from_connect(cls, *arguments: Any, **options: Any) -> tuple[NamedByCertificate, Session]:
        """Read the CONNECT packet, then put the certificate's subject in place of what it claims."""
        handler, session = await super().init_from_connect(*arguments, **options)
        certificate = _certificate(session.ssl_object)
        name = _subject(certificate)
        if certificate is None or name is None:
            raise MQTTError("a client without a certificate's name")
        if certificate.serial_number in cls.revoked():
            raise MQTTError(f"the certificate of {name} is revoked")
        session.client_id = session.username = name
        await cls.connections.succeed(name, handler, certificate.serial_number)
        return handler, session

    @classmethod
    def revoked(cls) -> set[int]:
        """Numbers of the certificates that are no longer good."""
        return {entry.serial_number for entry in x509.load_pem_x509_crl(cls.revocations.read_bytes())}


class FleetBroker(Broker):  # type: ignore[misc] # amqtt is not typed for us
    """The broker with the gaps closed."""

    @staticmethod
    def _create_ssl_context(listener: ListenerConfig) -> ssl.SSLContext:
        context: ssl.SSLContext = Broker._create_ssl_context(listener)  # noqa: SLF001 - extended, and its version pinned
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        if acl.may_read(session.client_id, subscription[0]):
            await super()._publish_retained_messages_for_subscription(subscription, session)


def _certificate(tls: ssl.SSLObject | None) -> x509.Certificate | None:
    """The client's certificate, which the TLS layer has verified."""
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    return None if der is None else x509.load_der_x509_certificate(der)


def _subject(certificate: x509.Certificate | None) -> str | None:
    """The common name of a certificate; None without exactly one."""
    if certificate is None:
        return None
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else None


async def _serve(configuration: dict[str, str]) -> None:
    NamedByCertificate.revocations = Path(configuration.pop("revocations"))
    amqtt.broker.BrokerProtocolHandler = NamedByCertificate
    here = "edgefleet_server.broker.amqtt_child"
    broker = FleetBroker(
        BrokerConfig(
            listeners={"default": ListenerConfig(ssl=True, **configuration)},
            plugins={f"{here}.CertificateIsIdentity": {}, f"{here}.FleetTopics": {}},
        )
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ending: set[asyncio.Task[None]] = set()  # tasks that nobody holds may vanish

    def end_revoked() -> None:
        task = asyncio.ensure_future(NamedByCertificate.connections.end_revoked(NamedByCertificate.revoked()))
        ending.add(task)
        task.add_done_callback(ending.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, end_revoked)
    await broker.start()
    await stop.wait()
    await broker.shutdown()


def main(configuration: Path) -> None:
    """Run until a signal comes."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    asyncio.run(_serve(json.loads(configuration.read_bytes())))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
