"""MQTT 3.1.1 over mutual TLS, by paho. Its thread only moves messages; what they mean is the main thread's business."""

from __future__ import annotations

import logging
import math
import ssl
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edgefleet_agent import tls
from edgefleet_agent.clock import SystemClock
from edgefleet_agent.identity import Identity
from edgefleet_agent.inbox import Connected, Inbox, Received
from edgefleet_agent.jitter import Backoff
from edgefleet_contract import blocks, messages, topics
from edgefleet_contract.topics import Topic

log = logging.getLogger(__name__)

_KEEPALIVE_S = 60
_FIRST_RECONNECT_S = 2.0
_LAST_RECONNECT_S = 120.0
_REVOKED = "ALERT_CERTIFICATE_REVOKED"  # OpenSSL's name of alert 44 (RFC 8446, section 6.2), less its prefix
_PACKET_LIMIT = max(messages.MESSAGE_LIMIT, blocks.BLOCK_BYTES) + 64 * 1024  # topic and header around a payload


class _Client(mqtt.Client):
    """Paho, which would take packets of 256 MB into memory from whoever is the broker, and tells no TLS alert.

    Attributes:
        is_shut_out: Whether the broker's last word was that our certificate is revoked.
    """

    is_shut_out = False

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > _PACKET_LIMIT:  # what is left of a packet, which paho asks for whole
            raise ConnectionAbortedError(f"a packet of {bufsize} bytes")
        try:
            return super()._sock_recv(bufsize)
        except ssl.SSLError as error:  # TLS 1.3 refuses a client after its handshake (RFC 8446, section 4.4.3)
            self.is_shut_out = _REVOKED in (error.reason or "")
            raise


class Transport:
    """A connection to the broker that comes back by itself.

    Nothing is queued while it is away: whoever publishes does so again until the server acknowledges.

    Args:
        identity: Who connects, and where to.
        inbox: Takes what comes.
    """

    def __init__(self, identity: Identity, inbox: Inbox) -> None:
        card = identity.card
        self._identity = identity
        self._broker = card.broker
        self._inbox = inbox
        self._subscriptions = topics.device_subscriptions(card.device)
        self._topics = {topics.of(row, card.device): row for row in topics.TOPICS if row.direction == "down"}
        self._device = card.device
        self._now_ms: Callable[[], int] = SystemClock().now_ms
        self._backoff = Backoff(_FIRST_RECONNECT_S, _LAST_RECONNECT_S)
        self._client = _Client(
            CallbackAPIVersion.VERSION2, client_id=card.device, clean_session=False, protocol=mqtt.MQTTv311
        )
        self._tls = tls.context(identity.authority_file, identity.certificate_file, identity.key_file)
        self._client.tls_set_context(self._tls)
        self._client.on_socket_open = lambda _client, _data, connection: self._check_in_date(connection)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there now."""
        return self._client.is_connected()

    @property
    def is_shut_out(self) -> bool:
        """Whether the broker says that this device's certificate is revoked."""
        return self._client.is_shut_out

    def start(self, now_ms: Callable[[], int]) -> None:
        """Connect, now and whenever the connection is lost, to whom is in date at ``now_ms``."""
        self._now_ms = now_ms
        self._wait_before_reconnecting()
        self._client.connect_async(self._broker.host, self._broker.port, _KEEPALIVE_S)
        self._client.loop_start()

    def publish(self, topic: Topic, payload: bytes) -> None:
        """Send a message on this device's topic; it is lost when the broker is away."""
        if self.is_connected:
            self._client.publish(topics.of(topic, self._device), payload, topic.qos, topic.retain)

    def renewed(self) -> None:
        """The identity has been renewed: come back under the new certificate."""
        self._tls.load_cert_chain(str(self._identity.certificate_file), str(self._identity.key_file))
        self.stop()
        self.start(self._now_ms)

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _check_in_date(self, connection: object) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        try:
            tls.check_in_date(connection, self._now_ms())
        except ssl.SSLError as error:
            log.warning("broker refused: %s", error)
            connection.close()  # paho would keep it until its next attempt
            raise

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.warning("broker refuses reason=%s", reason)
            return
        log.info("broker connected host=%s port=%d", self._broker.host, self._broker.port)
        self._backoff.reset()
        self._client.is_shut_out = False
        client.subscribe(self._subscriptions)
        self._inbox.put(Connected())

    def _on_connect_fail(self, _client: mqtt.Client, _data: Any) -> None:
        log.info("broker not there host=%s port=%d", self._broker.host, self._broker.port)
        self._wait_before_reconnecting()

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        log.info("broker disconnected reason=%s", reason)
        self._wait_before_reconnecting()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        topic = self._topics.get(message.topic)
        if topic is not None and len(message.payload) <= messages.MESSAGE_LIMIT:
            self._inbox.put(Received(topic, bytes(message.payload)))

    def _wait_before_reconnecting(self) -> None:
        """Tell paho, which knows no jitter, how long to wait before its next attempt."""
        seconds = max(1, math.ceil(self._backoff.next()))
        self._client.reconnect_delay_set(seconds, seconds)
