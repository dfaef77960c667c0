"""The threads of a server, and who wakes whom.

::

device -> ingest -> policy -> publisher -> device        reports, decisions, desired twins
device -> ingest -> blocks -> device                     files, at the device's pace
device -> ingest -> drift                                sketches
device -> ingest -> device                               acknowledgements, the time
"""

from __future__ import annotations

from collections.abc import Sequence

from edgefleet_contract.messages import Need
from edgefleet_server.alerts.offline import OfflineWatch
from edgefleet_server.alerts.revocation import RevocationWatch
from edgefleet_server.alerts.storage import StorageWatch
from edgefleet_server.broker.revocation import Revocations
from edgefleet_server.clock import HOUR, SECOND
from edgefleet_server.core import Core
from edgefleet_server.delivery import BlockServer, DesiredPublisher
from edgefleet_server.devices.farewell import Farewell
from edgefleet_server.erasure.retention import Retention
from edgefleet_server.erasure.terms import Terms
from edgefleet_server.ingest import Ingest, Outcome
from edgefleet_server.mqtt import Connection
from edgefleet_server.rollouts.assignments import Assigner
from edgefleet_server.rollouts.engine import Engine
from edgefleet_server.telemetry.watch import DriftWatch
from edgefleet_server.trust.online_keys import OnlineKeys
from edgefleet_server.trust.sealing import Sealing
from edgefleet_server.trust.watch import TrustWatch
from edgefleet_server.worker import Worker

_POLICY_INTERVAL = 0.5  # seconds: probations end by the clock, not by a message
_PUBLISH_INTERVAL = 2.0
_BLOCKS_INTERVAL = 1.0
_DRIFT_INTERVAL = 1.0
_REVOKING_INTERVAL = 60.0  # for what has failed, and for an operator who brings the list to a broker elsewhere
_HOURLY = HOUR / SECOND


class Workers:
    """Everything that moves without an operator's request."""

    def __init__(
        self,
        core: Core,
        connection: Connection,
        keys: OnlineKeys,
        authority: str,
        terms: Terms,
        revocations: Revocations,
    ) -> None:
        database, clock = core.database, core.clock
        self._connection = connection
        self._revocations = revocations
        self._engine = Engine(database, Assigner(keys, core.content_keys, clock), clock)
        self._trust = TrustWatch(database, clock, keys, authority)
        self._offline = OfflineWatch(database, clock)
        self._drift = DriftWatch(database, clock, core.references)
        self._storage = StorageWatch(database, clock, core.blobs)
        self._retention = Retention(database, clock, terms)
        self._block_server = BlockServer(core, connection, self._storage)
        self._publisher = DesiredPublisher(database, clock, connection)
        self._ingest = Ingest(
            database,
            clock,
            core.references,
            core.metrics,
            sealing=Sealing(database, keys),
            on_need=self._on_need,
            on_stored=self._on_stored,
        )
        self._publishing = Worker("publisher", self._publisher.publish_due, _PUBLISH_INTERVAL)
        self._blocks = Worker("blocks", self._block_server.serve_waiting, _BLOCKS_INTERVAL)
        self._drifting = Worker("drift", self._drift.evaluate_changed, _DRIFT_INTERVAL)
        self._policy = Worker("policy", self._move_rollouts, _POLICY_INTERVAL)
        self._clearing = Worker("clearing", Farewell(database, clock, connection).clear_due, _HOURLY)
        self._revoking = Worker("revoking", RevocationWatch(database, clock, revocations).enforce, _REVOKING_INTERVAL)
        self._hourly = Worker("hourly", self._look_around, _HOURLY)
        connection.on_connect = self._on_connect

    def start(self) -> None:
        """Start all threads; what needs the broker waits for it."""
        self._connection.start()
        self._ingest.start(self._connection)
        for worker in self._all():
            worker.start()

    def stop(self) -> None:
        """Stop them: first what decides, last what sends."""
        self._ingest.stop()
        for worker in self._all():
            worker.stop()
        self._connection.stop()

    @property
    def hears_devices(self) -> bool:
        """Whether what devices send is taken."""
        return self._ingest.is_running

    def wake(self) -> None:
        """An operator has changed something."""
        self._policy.wake()

    def wake_all(self) -> None:
        """Trust has changed: what was signed before may have to be signed again, and published."""
        self._hourly.wake()
        self._policy.wake()
        self._publishing.wake()

    def on_revoked(self, devices: Sequence[str]) -> None:
        """Devices have left: the broker is to let them in no more, and to forget what it retains for them."""
        self._revocations.leave(devices)
        self._revoking.wake()
        self._clearing.wake()

    def _all(self) -> tuple[Worker, ...]:
        return (
            self._hourly,
            self._policy,
            self._drifting,
            self._blocks,
            self._publishing,
            self._revoking,
            self._clearing,
        )

    def _on_connect(self) -> None:
        self._publisher.republish_all()
        self._publishing.wake()
        self._clearing.wake()
        self._revoking.wake()

    def _on_need(self, need: Need) -> None:
        self._block_server.ask(need)
        self._blocks.wake()

    def _on_stored(self, outcome: Outcome) -> None:
        if outcome.drifting:
            self._drift.note(outcome.drifting)
        if outcome.key_settled:
            self.on_revoked([])
        if outcome.reported:
            self._policy.wake()

    def _move_rollouts(self) -> None:
        if self._engine.run_until_quiet():
            self._publishing.wake()

    def _look_around(self) -> None:
        self._offline.look()
        self._storage.look()
        self._retention.delete_old()
        if self._trust.look() | self._engine.renew_assignments():
            self._publishing.wake()
