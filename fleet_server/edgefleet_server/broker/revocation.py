"""Keeps who was revoked out of the broker: the revocation list, proof that the broker has read it, then the kick.

A signal to reload says nothing of whether it worked, and a broker that is kicked before it has reloaded lets the
client in again. So each list also names the *probe*, a certificate made for that list alone: once the broker refuses
the probe, it has read the list; only then are sessions ended. In the same way the server sees whether an operator has
given the list to a broker elsewhere.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cryptography import x509

from edgefleet_contract import keys
from edgefleet_contract.errors import BrokerFailed
from edgefleet_server.authority import Authority
from edgefleet_server.broker.kick import is_accepted, kick
from edgefleet_server.broker.settings import BrokerSettings
from edgefleet_server.clock import DAY, Clock
from edgefleet_server.data_folder import write_durable

PROBE = "revocation-probe"  # no device id, so that it may speak and listen nowhere
_WRITE_EVERY = 30 * DAY  # a list ends after 90 days, and a broker with one that has ended lets nobody in
_PATIENCE = 10.0  # seconds for the broker to read a list
_LOOK_EVERY = 0.05
_TIMEOUT = 5.0

Revoked = list[tuple[int, int]]  # serial numbers, and when they were revoked, in UTC milliseconds


class Revocations:
    """Enforces, at one broker, what the database says of certificates.

    Args:
        settings: Of the broker.
        host: Where it is reached from here.
        authority: Signs the list.
        clock: UTC milliseconds.
        read: What is revoked now.
        reload: Lets the broker read the list again; None where an operator does that.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        host: str,
        *,
        authority: Authority,
        clock: Clock,
        read: Callable[[], Revoked],
        reload: Callable[[], None] | None,
    ) -> None:
        self._settings = settings
        self._host = host
        self._authority = authority
        self._clock = clock
        self._read = read
        self._reload = reload
        self._probe = settings.folder / "probe.pem"
        self._lock = threading.Lock()
        self._to_kick: set[str] = set()
        self._listed, self._written_at = self._on_disk()
        self._in_force = False

    @property
    def path(self) -> Path:
        """The list."""
        return self._settings.revocations

    def prepare(self) -> None:
        """Write the list, unless a good one is there, and let a broker start with it."""
        self._settings.door.unlink(missing_ok=True)  # of another broker that ran here
        self._write_if_due(self._read())
        self._in_force = self._reload is not None

    def leave(self, devices: Iterable[str]) -> None:
        """The sessions of ``devices`` are to end at the next :meth:`enforce`."""
        with self._lock:
            self._to_kick.update(devices)

    def enforce(self) -> bool:
        """Bring the broker up to date, if it is not; to be called again until it is, and every hour.

        Returns:
            Whether the broker has the newest list. Where an operator must bring it, that may take days.

        Raises:
            BrokerFailed: The broker cannot be reached, has not read the list, or has not ended a session.
        """
        if self._settings.door.exists():
            self._settings.door.chmod(0o600)  # mosquitto makes it 0770, whatever its umask
        with self._lock:
            waiting = sorted(self._to_kick)  # before the list is read, so that they are all on it
        if self._write_if_due(self._read()):
            self._in_force = False
        if not self._in_force:
            self._in_force = self.is_enforced() if self._reload is None else self._reloaded(self._reload)
        self._end_sessions(waiting)
        return self._in_force

    def is_enforced(self) -> bool:
        """Whether the broker has read the newest list.

        Raises:
            BrokerFailed: It cannot be reached.
        """
        try:
            connection = socket.create_connection((self._host, self._settings.port), _TIMEOUT)
        except OSError as cause:
            raise BrokerFailed(f"The broker cannot be asked whom it lets in: {cause}") from cause
        with connection:
            try:
                with self._context().wrap_socket(connection, server_hostname=self._host) as secured:
                    return not is_accepted(secured, PROBE)
            except TimeoutError as cause:
                raise BrokerFailed("The broker does not say whom it lets in") from cause
            except OSError:  # a refusal: of the handshake, or in TLS 1.3 after it
                return True

    def _write_if_due(self, revoked: Sequence[tuple[int, int]]) -> bool:
        """Write the list if it is not what is ``revoked``, or grows old; whether it was written."""
        listed = {serial for serial, _ in revoked}
        if listed == self._listed and self._clock() - self._written_at < _WRITE_EVERY:
            return False
        key = keys.generate_device_key()
        certificate, _ = self._authority.issue_device(PROBE, key.public_key())
        number = x509.load_pem_x509_certificate(certificate.encode()).serial_number
        write_durable(self._probe, keys.to_pem(key) + certificate.encode())
        write_durable(self._settings.revocations, self._authority.crl([*revoked, (number, self._clock())]))
        self._listed, self._written_at = listed, self._clock()
        return True

    def _on_disk(self) -> tuple[set[int], int]:
        """What is on the list that lies there, without its probe, and when it was written; 0 if there is none."""
        try:
            listed = x509.load_pem_x509_crl(self._settings.revocations.read_bytes())
            probe = x509.load_pem_x509_certificate(self._probe.read_bytes()).serial_number
            written_at = listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        except (OSError, ValueError, x509.ExtensionNotFound):
            return set(), 0
        return {entry.serial_number for entry in listed} - {probe}, written_at

    def _reloaded(self, reload: Callable[[], None]) -> bool:
        reload()
        waited = 0.0
        while not self.is_enforced():
            if waited >= _PATIENCE:
                raise BrokerFailed(
                    "The broker still lets in a certificate that is on its revocation list",
                    remedy=f"See {self._settings.folder / 'broker.log'}, and start the server again.",
                )
            threading.Event().wait(_LOOK_EVERY)
            waited += _LOOK_EVERY
        return True

    def _end_sessions(self, waiting: Sequence[str]) -> None:
        left: list[str] = []
        if self._settings.door.exists():  # else amqtt has done it by itself, or an operator does it elsewhere
            left = [device for device in waiting if not kick(self._settings.door, device)]
        with self._lock:
            self._to_kick -= set(waiting) - set(left)
        if left:
            raise BrokerFailed(f"The broker has not ended the sessions of {', '.join(left)}")

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._settings.authority))
        context.load_cert_chain(self._probe)
        return context
