"""What an operator may set of a server; every default stands here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.erasure.terms import Terms

CONSOLE_PORT = 8080
DEVICE_PORT = 8443
BROKER_PORT = 8883
LOOPBACK = "127.0.0.1"
EMBEDDED_BROKERS = ("embedded", "mosquitto", "amqtt")
# Hosts that stand for every address of this machine, and the loopback address among these.
_EVERYWHERE = {"0.0.0.0": LOOPBACK, "": LOOPBACK, "::": "::1"}  # noqa: S104 - looked up, not bound to


@dataclass(frozen=True)
class ServerConfig:
    """The settings of one server process.

    Attributes:
        data: The data folder.
        host: Address on which devices and the broker are served, both with TLS. The console goes there too if it is
            loopback or if there is a certificate for it; otherwise it stays on 127.0.0.1.
        port: The console's port; 0 takes a free one at the first start and keeps it.
        device_port, broker_port: None takes the default, or a free one where ``port`` is 0.
        public_url: Where devices reach this server, if that is not ``https://host:device_port``.
        database: SQLAlchemy URL; None keeps SQLite in the data folder.
        broker: "embedded" (mosquitto if installed, else amqtt), "mosquitto", "amqtt", or ``mqtts://HOST:PORT`` of a
            broker that somebody else runs.
        certificate, certificate_key: PEM files for the console's own TLS.
        terms: How long telemetry and samples are kept.
    """

    data: Path
    host: str = LOOPBACK
    port: int = CONSOLE_PORT
    device_port: int | None = None
    broker_port: int | None = None
    public_url: str | None = None
    database: str | None = None
    broker: str = "embedded"
    certificate: Path | None = None
    certificate_key: Path | None = None
    terms: Terms = field(default_factory=Terms)

    def checked(self) -> ServerConfig:
        """This configuration, if it makes sense.

        Raises:
            UsageMalformed: Settings that contradict each other.
        """
        if (self.certificate is None) != (self.certificate_key is None):
            raise UsageMalformed(
                "Only one of --certificate and --certificate-key is given", expected="both, or neither"
            )
        if self.host in _EVERYWHERE and self.public_url is None:
            raise UsageMalformed(
                f"The host is {self.host!r}, which is no address that a device could call",
                expected="--public-url https://NAME:PORT beside it",
            )
        if self.public_url is not None:
            _check_url(self.public_url, "https", "--public-url")
        if self.broker not in EMBEDDED_BROKERS:
            _check_url(self.broker, "mqtts", "--broker")
        return self

    @property
    def console_host(self) -> str:
        """Where the console listens: never in the clear beyond loopback."""
        return self.host if self.certificate is not None or is_loopback(self.host) else LOOPBACK

    @property
    def local_host(self) -> str:
        """The address by which this machine itself reaches what listens on ``host``."""
        return _EVERYWHERE.get(self.host, self.host)

    @property
    def public_host(self) -> str:
        """The name or address by which devices reach this server."""
        return _host_of(self.public_url) if self.public_url is not None else self.host

    @property
    def external_broker(self) -> tuple[str, int] | None:
        """Host and port of a broker that somebody else runs; None for a child of ours."""
        if self.broker in EMBEDDED_BROKERS:
            return None
        return _host_of(self.broker), urlsplit(self.broker).port or BROKER_PORT


def is_loopback(host: str) -> bool:
    """Whether ``host`` can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_host(host: str) -> str:
    """``host`` as it stands in a URL: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def _check_url(url: str, scheme: str, option: str) -> None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme == scheme and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise UsageMalformed(f"{option} is {url!r}", expected=f"{scheme}://HOST:PORT")
