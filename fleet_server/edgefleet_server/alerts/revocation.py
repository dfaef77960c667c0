"""A broker elsewhere that lets revoked devices in, because nobody has brought it the newest list."""

from __future__ import annotations

from edgefleet_server.alerts import service as alerts
from edgefleet_server.audit.change import POLICY, Change
from edgefleet_server.broker.revocation import Revocations
from edgefleet_server.clock import Clock
from edgefleet_server.db import Database

_CAUSE = "revocation"


class RevocationWatch:
    """Has the broker brought up to date, and keeps an alert open while it is not."""

    def __init__(self, database: Database, clock: Clock, revocations: Revocations) -> None:
        self._database = database
        self._clock = clock
        self._revocations = revocations
        self._told: bool | None = None  # what the alert says; unknown at first, for the last server may have left one

    def enforce(self) -> None:
        """Once more.

        Raises:
            BrokerFailed: As :meth:`Revocations.enforce`.
        """
        is_in_force = self._revocations.enforce()
        if is_in_force == self._told:
            return
        with self._database.write() as session:
            change = Change(session, self._clock(), POLICY)
            if is_in_force:
                alerts.resolve(change, _CAUSE)
            else:
                alerts.raise_alert(
                    change,
                    kind="revocation",
                    cause=_CAUSE,
                    text="The broker does not have the newest revocation list, and lets revoked devices in. Copy "
                    f"{self._revocations.path} to its machine, and let it reload (docs/guide/broker.md)",
                )
        self._told = is_in_force
