"""The server's one connection to the broker: mutual TLS, QoS 1, acknowledged by hand after the commit."""

from __future__ import annotations

import logging
import queue
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from edgefleet_contract import messages, topics
from edgefleet_contract.errors import BrokerUnreachable
from edgefleet_server.authority import SERVER_NAME, Credentials

_log = logging.getLogger(__name__)
_KEEPALIVE = 30  # seconds
_INFLIGHT = 1000  # messages of ours that the broker may leave unacknowledged
_PACKET_LIMIT = messages.MESSAGE_LIMIT + 64 * 1024  # topic and header around a payload
WAITING = 256  # messages that are held for the ingest: a batch and more, and 80 MB at most
_PATIENCE = 1.0  # seconds that the network waits for the ingest to make room


@dataclass(frozen=True)
class Incoming:
    """A message from a device, not yet acknowledged."""

    topic: str
    payload: bytes
    mid: int
    qos: int


class _Client(paho.Client):
    """Paho, which would take packets of 256 MB into memory from whoever is the broker."""

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > _PACKET_LIMIT:  # what is left of a packet, which paho asks for whole
            raise ConnectionAbortedError(f"a packet of {bufsize} bytes")
        return super()._sock_recv(bufsize)


class Connection:
    """Connects, subscribes to everything that devices send, and reconnects by itself.

    Args:
        host, port: Of the broker.
        authority: PEM of the certificate authority that vouches for the broker.
        credentials: The server's own.

    Attributes:
        on_connect: Called at each (re)connection, in the network thread.
        incoming: What devices have sent, so much of it as is held.
    """

    def __init__(self, host: str, port: int, authority: Path, credentials: Credentials) -> None:
        self._address = (host, port)
        self.on_connect: Callable[[], None] = lambda: None
        self._connected = threading.Event()
        self.incoming: queue.Queue[Incoming] = queue.Queue(WAITING)
        self._client = _Client(CallbackAPIVersion.VERSION2, client_id=SERVER_NAME, clean_session=False, manual_ack=True)
        self._client.username_pw_set(SERVER_NAME)
        self._client.tls_set(
            ca_certs=str(authority),
            certfile=str(credentials.certificate),
            keyfile=str(credentials.key),
            tls_version=ssl.PROTOCOL_TLS_CLIENT,
        )
        self._client.max_inflight_messages_set(_INFLIGHT)
        self._client.reconnect_delay_set(min_delay=1, max_delay=15)
        self._client.on_connect = self._connect_done
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._received

    @property
    def is_connected(self) -> bool:
        """Whether the broker has accepted us."""
        return self._connected.is_set()

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._client.connect_async(*self._address, keepalive=_KEEPALIVE)
        self._client.loop_start()

    def wait_connected(self, timeout: float, alive: Callable[[], bool], remedy: str) -> None:
        """Wait until the broker has accepted us.

        Args:
            timeout: Seconds.
            alive: Whether waiting makes sense at all.
            remedy: What to do if it does not.

        Raises:
            BrokerUnreachable: It did not.
        """
        step = 0.1
        waited = 0.0
        while waited < timeout and alive():
            if self._connected.wait(step):
                return
            waited += step
        host, port = self._address
        raise BrokerUnreachable(
            f"No MQTT broker at {host}:{port} has accepted this server within {waited:.0f} s",
            remedy=remedy,
        )

    def stop(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()
        self._connected.clear()

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> paho.MQTTMessageInfo:
        """Hand a message to the network thread."""
        return self._client.publish(topic, payload, qos, retain)

    def is_delivered(self, info: paho.MQTTMessageInfo, timeout: float) -> bool:
        """Wait until the broker has taken a message of QoS 1, or until one of QoS 0 has left this process."""
        try:
            info.wait_for_publish(timeout)
            return info.is_published()
        except (RuntimeError, ValueError):  # paho's way to say that there is no connection
            return False

    def acknowledge(self, message: Incoming) -> None:
        """Tell the broker that it may forget ``message``."""
        self._client.ack(message.mid, message.qos)

    def _connect_done(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            _log.warning("broker refused this server: %s", reason)
            return
        client.subscribe(topics.server_subscriptions())
        _log.info("connected to the broker at %s:%s", *self._address)
        self._connected.set()
        self.on_connect()

    def _disconnected(
        self,
        _client: paho.Client,
        _userdata: object,
        _flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        self._connected.clear()
        if reason.is_failure:
            _log.warning("lost the broker: %s; reconnecting", reason)

    def _received(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        if message.qos == 0:
            return  # no row of the topic table: it could be sent without limit, for nobody acknowledges it
        taken = Incoming(message.topic, bytes(message.payload), message.mid, message.qos)
        try:
            self.incoming.put(taken, timeout=_PATIENCE)
        except queue.Full:  # the device hears of no acknowledgement, and sends it again
            _log.warning("topic=%s a message was dropped: %d wait already", message.topic, WAITING)
            self.acknowledge(taken)
