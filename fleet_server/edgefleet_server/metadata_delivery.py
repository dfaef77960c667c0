"""Newer metadata for devices that have nothing assigned: they bring the keys whose acknowledgements count."""

from __future__ import annotations

import logging

import msgspec
from sqlalchemy import select

from edgefleet_contract import messages, topics
from edgefleet_contract.messages import Desired
from edgefleet_server.db import Database
from edgefleet_server.devices.models import ACTIVE, Device
from edgefleet_server.mqtt import Connection
from edgefleet_server.trust import service as trust

_log = logging.getLogger(__name__)
_PAGE = 200  # messages under way to the broker at a time
_PUBACK_TIMEOUT = 20.0  # seconds


class MetadataPublisher:
    """Publishes a desired twin without an assignment to each device that has never had one.

    A device may have enrolled by the root that its claim names, so all of them are told as soon as there is a second
    root; and again after each new timestamp, for what is retained must not grow too old to be believed.
    """

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self._connection = connection
        self._told: set[str] = set()  # devices that the broker has the newest metadata for
        self._version = 0  # of the timestamp

    def publish_all(self) -> None:
        """The broker may have forgotten everything."""
        self._version = 0

    def publish_due(self) -> None:
        """Publish what the broker has not taken yet."""
        devices, metadata = self._due()
        for start in range(0, len(devices), _PAGE):
            sent = [
                (
                    device,
                    self._connection.publish(
                        topics.of(topics.DESIRED, device), metadata, topics.DESIRED.qos, retain=topics.DESIRED.retain
                    ),
                )
                for device in devices[start : start + _PAGE]
            ]
            for device, info in sent:
                if not self._connection.is_delivered(info, _PUBACK_TIMEOUT):
                    _log.warning("device=%s the broker has not taken its metadata yet", device)
                    return
                self._told.add(device)

    def _due(self) -> tuple[list[str], bytes]:
        """The devices that are to be told, and what."""
        without = select(Device.id).where(Device.standing == ACTIVE, Device.sequence == 0).order_by(Device.id)
        with self._database.read() as session:
            root, version = trust.newest_root(session), trust.version(session)
            if root is None or root.version == 1:
                return [], b""
            if version != self._version:
                self._told, self._version = set(), version
            devices = [device for device in session.scalars(without) if device not in self._told]
            book = trust.proof_book(session) if devices else None
        proof = book.proof(None) if book is not None else None
        if proof is None:
            return [], b""
        nothing = msgspec.Raw(messages.NOTHING_ASSIGNED)
        return devices, messages.encode(Desired(messages.VERSION, nothing, msgspec.Raw(proof)))
