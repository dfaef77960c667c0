"""Signs what the server tells devices besides assignments: with the key that the newest root names for them."""

from __future__ import annotations

from collections.abc import Callable

from edgefleet_contract import dsse
from edgefleet_contract.errors import Conflict
from edgefleet_server.db import Database
from edgefleet_server.trust import service
from edgefleet_server.trust.online_keys import OnlineKeys
from edgefleet_server.trust.server_keys import ASSIGNMENT

Seal = Callable[[bytes, str], bytes]  # a payload and its type into a DSSE envelope


class Sealing:
    """Gives the seal of now, to be used for one batch: a rotation may replace the key at any time."""

    def __init__(self, database: Database, keys: OnlineKeys) -> None:
        self._database = database
        self._keys = keys

    def __call__(self) -> Seal:
        """The seal.

        Raises:
            OnlineKeyLost: The key is not here.
            Conflict: There is no root yet.
        """
        with self._database.read() as session:
            root = service.newest_root(session)
        if root is None:
            raise Conflict("This server has no trust root yet", remedy="Make a token with `edgefleet device token`.")
        key = self._keys.key(root, ASSIGNMENT)
        return lambda payload, payload_type: dsse.sign(payload, payload_type, [key.private])
