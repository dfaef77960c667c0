"""One server process: puts the parts together, starts them in order, and stops them in the reverse order."""

from __future__ import annotations

import contextlib
import logging
import socket
from dataclasses import dataclass, replace

from edgefleet_server import addresses, migrate, surviving
from edgefleet_server.addresses import Addresses, Ports
from edgefleet_server.app import device_app, operator_app
from edgefleet_server.authority import Authority, Credentials
from edgefleet_server.broker.choice import command_for, write_for_elsewhere
from edgefleet_server.broker.revocation import Revocations
from edgefleet_server.broker.settings import BrokerSettings
from edgefleet_server.broker.supervisor import Supervisor
from edgefleet_server.clock import Clock, system_clock
from edgefleet_server.config import ServerConfig
from edgefleet_server.core import Core
from edgefleet_server.data_folder import DataFolder, check_free
from edgefleet_server.db import Database
from edgefleet_server.devices import certificates
from edgefleet_server.devices.enrolment import Enroller
from edgefleet_server.devices.hooks import Hooks
from edgefleet_server.devices.renewal import Renewer
from edgefleet_server.devices.service import any_device
from edgefleet_server.fleet import Fleet
from edgefleet_server.gate import Gate
from edgefleet_server.health import DiskProbe
from edgefleet_server.listeners import Listener, bind, check_certificate
from edgefleet_server.metrics import Metrics
from edgefleet_server.mqtt import Connection
from edgefleet_server.releases.blobs import BlobStore
from edgefleet_server.releases.content_keys import ContentKeys
from edgefleet_server.storage import telling_disk_failures
from edgefleet_server.telemetry.references import References
from edgefleet_server.trust.online_keys import OnlineKeys
from edgefleet_server.workers import Workers

_log = logging.getLogger(__name__)
_BROKER_TIMEOUT = 20.0  # seconds


@dataclass(frozen=True)
class _Kept:
    """What a data folder keeps from its first start on: devices and operators know it."""

    authority: Authority
    online_keys: OnlineKeys
    admin_token: str | None


@dataclass(frozen=True)
class _Broker:
    """The broker of this fleet.

    Attributes:
        child: None where somebody else runs it.
        revocations: Keep out of it who has left.
    """

    child: Supervisor | None
    revocations: Revocations


class FleetServer:
    """A fleet server in this process.

    Args:
        config: What the operator set.
        clock: UTC milliseconds.

    Attributes:
        addresses: Where it can be reached, once started.
    """

    addresses: Addresses

    def __init__(self, config: ServerConfig, clock: Clock = system_clock) -> None:
        self._config = config.checked()
        self._clock = clock
        self._metrics = Metrics()
        self._running = contextlib.ExitStack()  # undoes what was started, the last first

    def start(self) -> None:
        """Start everything; after an error nothing is left running.

        Raises:
            EdgefleetError: The data folder, an address or the broker cannot be used.
        """
        try:
            with telling_disk_failures():
                self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything."""
        self._running.close()

    def _start(self) -> None:
        config = self._config
        check_free(config.data)
        if config.certificate is not None and config.certificate_key is not None:
            check_certificate(config.certificate, config.certificate_key)
        ports = addresses.choose_ports(config)
        console_socket = self._bind(config.console_host, ports.console, "--port")
        devices_socket = self._bind(config.host, ports.devices, "--device-port")
        ports = replace(ports, console=_port_of(console_socket), devices=_port_of(devices_socket))
        if config.external_broker is None:  # a port that is taken is told here, not by the child
            bind(config.host, ports.broker, "--broker-port").close()
        self.addresses = addresses.describe(config, ports)

        # Only a server that has its ports writes anything.
        folder = DataFolder(config.data)
        self._running.callback(folder.close)
        database = Database(config.database or folder.database_url)
        self._running.callback(database.close)
        migrate.prepare(database)
        kept = self._open_kept(folder, database)
        credentials = kept.authority.issue_listener([config.public_host, config.local_host])
        broker = self._start_broker(folder, database, kept.authority, credentials, ports)
        fleet = self._start_fleet(folder, database, kept, broker)
        self._serve(
            Listener(operator_app(fleet), console_socket, certificate=config.certificate, key=config.certificate_key)
        )
        self._serve(
            Listener(device_app(fleet), devices_socket, certificate=credentials.certificate, key=credentials.key)
        )
        addresses.remember(config, self.addresses, ports)
        _log.info("console=%s devices=%s", self.addresses.console, self.addresses.devices)

    def _open_kept(self, folder: DataFolder, database: Database) -> _Kept:
        with database.read() as session:
            pinned = any_device(session)
        return _Kept(
            Authority(folder.authority, self._clock, pinned=pinned),
            OnlineKeys(folder.keys),
            folder.admin_token(),
        )

    def _bind(self, host: str, port: int, option: str) -> socket.socket:
        bound = bind(host, port, option)
        self._running.callback(bound.close)
        return bound

    def _start_broker(
        self, folder: DataFolder, database: Database, authority: Authority, credentials: Credentials, ports: Ports
    ) -> _Broker:
        """Start the broker child, or write the configuration of one that somebody else runs."""
        outlived = surviving.kept(folder.authority)

        def revoked() -> list[tuple[int, int]]:
            with database.read() as session:
                known = certificates.revoked(session, self._clock())
            return list((dict(outlived) | dict(known)).items())

        external = self._config.external_broker
        if external is not None:
            theirs = authority.issue_listener([external[0]], "broker")
            settings = BrokerSettings(
                folder.broker, "", external[1], authority.certificate_path, theirs, is_child=False
            )
            revocations = Revocations(
                settings, external[0], authority=authority, clock=self._clock, read=revoked, reload=None
            )
            revocations.prepare()
            write_for_elsewhere(settings)
            return _Broker(None, revocations)
        host = self._config.host
        settings = BrokerSettings(folder.broker, host, ports.broker, authority.certificate_path, credentials)
        child = Supervisor(
            command_for(self._config.broker, settings), folder.broker / "broker.log", self._metrics.count_broker_restart
        )
        revocations = Revocations(
            settings,
            self._config.local_host,
            authority=authority,
            clock=self._clock,
            read=revoked,
            reload=child.reload,
        )
        revocations.prepare()
        child.start(host, ports.broker, _BROKER_TIMEOUT)
        self._running.callback(child.stop)
        return _Broker(child, revocations)

    def _start_fleet(self, folder: DataFolder, database: Database, kept: _Kept, broker: _Broker) -> Fleet:
        """Connect to the broker and start the workers; returns what the routes need."""
        child = broker.child
        blobs = BlobStore(folder.blobs)
        core = Core(
            self._clock, database, blobs, ContentKeys(folder.content_keys, blobs), References(blobs), self._metrics
        )
        broker_host = self._config.local_host if child else self.addresses.broker.host
        connection = Connection(
            broker_host, self.addresses.broker.port, kept.authority.certificate_path, kept.authority.issue_server()
        )
        workers = Workers(
            core, connection, kept.online_keys, kept.authority.pem, self._config.terms, broker.revocations
        )
        self._running.callback(workers.stop)
        workers.start()
        connection.wait_connected(
            _BROKER_TIMEOUT,
            alive=child.is_alive if child else lambda: True,
            remedy=f"See {folder.broker / 'broker.log'}."
            if child
            else f"Run it with the configuration that was written to {folder.broker}, and start again.",
        )
        return Fleet(
            clock=core.clock,
            database=core.database,
            blobs=core.blobs,
            content_keys=core.content_keys,
            references=core.references,
            metrics=core.metrics,
            authority=kept.authority,
            enroller=Enroller(kept.authority, self.addresses.broker, Renewer(kept.authority, self._clock)),
            gate=Gate(core, kept.admin_token),
            online_keys=kept.online_keys,
            wake=workers.wake,
            wake_all=workers.wake_all,
            broker_connected=lambda: connection.is_connected,
            hears_devices=lambda: workers.hears_devices,
            disk=DiskProbe(core),
            devices_url=self.addresses.devices,
            hooks=Hooks(folder.hooks),
            on_revoked=workers.on_revoked,
        )

    def _serve(self, listener: Listener) -> None:
        listener.start()
        self._running.callback(listener.stop)


def _port_of(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])
