"""Alerts while a broker lets revoked devices in: ours reads no list, or nobody has given it to one elsewhere."""

from __future__ import annotations

from edgefleet_contract.errors import BrokerFailed
from edgefleet_server.alerts import service as alerts
from edgefleet_server.audit.change import POLICY, Change
from edgefleet_server.broker.revocation import Revocations
from edgefleet_server.clock import Clock
from edgefleet_server.db import Database

_CAUSE = "revocation"
_IN_FORCE = ""
TRIES = 3  # failures in a row before a person is told: a broker that starts again fails once or twice


class RevocationWatch:
    """Has the broker brought up to date, and keeps an alert open while it is not."""

    def __init__(self, database: Database, clock: Clock, revocations: Revocations) -> None:
        self._database = database
        self._clock = clock
        self._revocations = revocations
        self._failures = 0
        self._told: str | None = None  # what the alert says; unknown at first, for the last server may have left one

    def enforce(self) -> None:
        """Once more.

        Raises:
            BrokerFailed: As :meth:`Revocations.enforce`.
        """
        try:
            is_in_force = self._revocations.enforce()
        except BrokerFailed as error:
            self._failures += 1
            if self._failures >= TRIES:
                self._tell(f"Revoked devices may still be at the broker. {error.text()}")
            raise
        self._failures = 0
        self._tell(
            _IN_FORCE
            if is_in_force
            else "The broker does not have the newest revocation list, and lets revoked devices in. Copy "
            f"{self._revocations.path} to its machine, and let it reload (docs/guide/broker.md)"
        )

    def _tell(self, what: str) -> None:
        if what == self._told:
            return
        with self._database.write() as session:
            change = Change(session, self._clock(), POLICY)
            if what == _IN_FORCE:
                alerts.resolve(change, _CAUSE)
            else:
                alerts.raise_alert(change, kind="revocation", cause=_CAUSE, text=what)
        self._told = what
