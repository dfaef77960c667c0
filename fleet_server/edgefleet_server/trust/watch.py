"""What time does to trust: the server signs anew each day, and people are told ahead of what they must renew."""

from __future__ import annotations

from cryptography import x509

from edgefleet_contract.errors import OnlineKeyLost
from edgefleet_contract.trust.repository import ONLINE_RENEWAL
from edgefleet_server.alerts import service as alerts
from edgefleet_server.audit.change import POLICY, Change
from edgefleet_server.clock import DAY, Clock
from edgefleet_server.db import Database
from edgefleet_server.trust import service
from edgefleet_server.trust.models import TrustMetadata
from edgefleet_server.trust.online_keys import OnlineKeys
from edgefleet_server.trust.repository import Repository
from edgefleet_server.trust.server_keys import SERVER_ROLES

WARN_BEFORE = 30 * DAY  # people must be found who hold keys
_LOST = "expiry:online-key"


class TrustWatch:
    """Signs anew, and opens an alert for each thing that expires soon; resolves it when it was renewed.

    Args:
        database: Of the fleet.
        clock: UTC milliseconds.
        keys: The server's own.
        authority: PEM of the fleet's certificate authority.
    """

    def __init__(self, database: Database, clock: Clock, keys: OnlineKeys, authority: str) -> None:
        self._database = database
        self._clock = clock
        self._keys = keys
        self._authority = x509.load_pem_x509_certificate(authority.encode()).not_valid_after_utc

    def look(self) -> bool:
        """Do what is due; returns whether there is something to publish."""
        now = self._clock()
        with self._database.write() as session:
            change = Change(session, now, POLICY)
            present = service.repository(session)
            self._tell_of(change, "authority", int(self._authority.timestamp() * 1000), "")
            if not present.roots:
                return False
            for role, expires in present.expiries().items():
                self._tell_of(change, role, expires, " Renew it: `edgefleet key renew`")
            return self._has_keys(change, present) and self._resign(change, present)

    def _resign(self, change: Change, present: Repository) -> bool:
        timestamp = change.session.get(TrustMetadata, ("timestamp", service.version(change.session)))
        if timestamp is not None and 0 <= change.now - timestamp.stored_at < ONLINE_RENEWAL.total_seconds() * 1000:
            return False
        service.resign(change, self._keys, present)
        return True

    def _has_keys(self, change: Change, present: Repository) -> bool:
        try:
            for role in SERVER_ROLES:
                self._keys.key(present.root, role)
        except OnlineKeyLost as error:
            alerts.raise_alert(change, kind="trust", cause=_LOST, text=error.text())
            return False
        alerts.resolve(change, _LOST)
        return True

    def _tell_of(self, change: Change, what: str, expires: int, remedy: str) -> None:
        cause, left = f"expiry:{what}", expires - change.now
        if left >= WARN_BEFORE:
            alerts.resolve(change, cause)
            return
        name = "The fleet's certificate authority" if what == "authority" else f"The {what} metadata"
        when = f"will expire in {left // DAY} days" if left > 0 else "expired, and devices take nothing new"
        alerts.raise_alert(change, kind="expiry", cause=cause, text=f"{name} {when}.{remedy}")
