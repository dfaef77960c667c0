"""What devices get: their desired twins, retained, and the blocks that they ask for.

The database is the outbox: an assignment that is not yet published is published, however often the broker or this
process dies. Blocks flow only at a device's request (its credit), one request at a time, so that what waits for a slow
broker is bounded by one window.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass

import msgspec
from sqlalchemy import select, update

from edgefleet_contract import blocks, messages, topics
from edgefleet_contract.blocks import Block
from edgefleet_contract.errors import ServerDiskFailed
from edgefleet_contract.messages import Desired, Need
from edgefleet_contract.trust.repository import target_path
from edgefleet_server.alerts.storage import StorageWatch
from edgefleet_server.clock import Clock
from edgefleet_server.core import Core
from edgefleet_server.db import Database
from edgefleet_server.devices.models import Device
from edgefleet_server.metadata_delivery import MetadataPublisher
from edgefleet_server.mqtt import Connection
from edgefleet_server.releases.models import Blob, Release, ReleasedBundle
from edgefleet_server.rollouts import assignments
from edgefleet_server.rollouts.models import Assignment
from edgefleet_server.trust import permits
from edgefleet_server.trust import service as trust
from edgefleet_server.trust.proofs import ProofBook

_log = logging.getLogger(__name__)
_PUBLISH_PAGE = 200  # desired twins under way to the broker at a time
_PUBACK_TIMEOUT = 20.0  # seconds
_WRITE_TIMEOUT = 30.0  # seconds until a window of blocks must have left this process


@dataclass(frozen=True)
class _Due:
    """An assignment to publish, and its proof; None for a release that nobody has signed in this form yet."""

    assignment: Assignment
    proof: bytes | None


class DesiredPublisher:
    """Publishes the desired twin of each device that has an assignment, and newer metadata to those that have none.

    After a (re)connection all of them are published again: the broker may have forgotten what it retained.
    """

    def __init__(self, database: Database, clock: Clock, connection: Connection) -> None:
        self._database = database
        self._clock = clock
        self._connection = connection
        self._republish = threading.Event()
        self._metadata = MetadataPublisher(database, connection)
        self._proofs: ProofBook | None = None  # kept as long as the timestamp stays the same
        self._proven_by = (0, 0)  # version of the timestamp, and newest permit, that the last page went by

    def republish_all(self) -> None:
        """The broker may have forgotten everything."""
        self._republish.set()

    def publish_due(self) -> None:
        """Publish what the broker has not taken yet."""
        if not self._connection.is_connected:
            return
        if self._republish.is_set():
            self._republish.clear()
            self._metadata.publish_all()
            if not self._publish_all(unpublished_only=False):
                self._republish.set()
                return
        self._publish_all(unpublished_only=True)
        self._metadata.publish_due()

    def _publish_all(self, *, unpublished_only: bool) -> bool:
        """Publish page by page; whether the broker has taken everything."""
        after = ""
        while page := self._page(after, unpublished_only=unpublished_only):
            after = page[-1].assignment.device_id
            sent = [
                (
                    due.assignment,
                    self._connection.publish(
                        topics.of(topics.DESIRED, due.assignment.device_id),
                        messages.encode(_desired(due.assignment, due.proof)),
                        topics.DESIRED.qos,
                        retain=topics.DESIRED.retain,
                    ),
                )
                for due in page
                if due.proof is not None
            ]
            for assignment, info in sent:
                if not self._connection.is_delivered(info, _PUBACK_TIMEOUT):
                    _log.warning("device=%s the broker has not taken its desired twin yet", assignment.device_id)
                    return False
            self._mark_published([assignment for assignment, _ in sent if assignment.published_at is None])
        return True

    def _page(self, after: str, *, unpublished_only: bool) -> list[_Due]:
        """The next assignments with their proofs, all of one moment: a root must not meet assignments that it ends."""
        query = (
            select(Assignment, Release.name, Release.version, ReleasedBundle.target)
            .join(Device, (Device.id == Assignment.device_id) & (Device.sequence == Assignment.sequence))
            .outerjoin(ReleasedBundle, ReleasedBundle.digest == Assignment.digest)
            .outerjoin(Release, Release.id == ReleasedBundle.release_id)
            .where(Assignment.device_id > after)
            .order_by(Assignment.device_id)
            .limit(_PUBLISH_PAGE)
        )
        if unpublished_only:
            query = query.where(Assignment.published_at.is_(None))
        with self._database.read() as session:
            found = session.execute(query).all()
            if not found:
                return []
            self._proven_by = trust.version(session), permits.newest(session)
            if self._proofs is None or self._proofs.version != self._proven_by[0]:
                self._proofs = trust.proof_book(session)
            permitted = permits.in_force(session, self._clock())
        page = []
        for assignment, name, version, target in found:
            path = target_path(name, version, target) if target else None
            permit = permitted.get((assignment.device_id, assignment.digest or ""))
            page.append(_Due(assignment, self._proofs.proof(path, permit) if self._proofs is not None else None))
        return page

    def _mark_published(self, published: list[Assignment]) -> None:
        if not published:
            return
        now = self._clock()
        with self._database.write() as session:
            if self._proven_by != (trust.version(session), permits.newest(session)):
                return  # what was sent is old by now, and the next round sends the new
            for assignment in published:
                session.execute(
                    update(Assignment)
                    .where(Assignment.device_id == assignment.device_id, Assignment.sequence == assignment.sequence)
                    .values(published_at=now)
                )


def _desired(assignment: Assignment, proof: bytes) -> Desired:
    return Desired(messages.VERSION, msgspec.Raw(assignment.envelope), msgspec.Raw(proof))


class BlockServer:
    """Answers requests for blocks, one at a time; a newer request of a device for a file replaces its older one.

    Args:
        core: Where files are, and who may have them.
        connection: To the broker.
        storage: Told when a file cannot be read.
    """

    def __init__(self, core: Core, connection: Connection, storage: StorageWatch) -> None:
        self._database = core.database
        self._blobs = core.blobs
        self._metrics = core.metrics
        self._connection = connection
        self._storage = storage
        self._waiting: OrderedDict[tuple[str, str], Need] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, need: Need) -> None:
        """Queue a request. Called by the ingest thread, so it does nothing else."""
        with self._lock:
            self._waiting[need.device, need.sha256] = need

    def serve_waiting(self) -> None:
        """Answer everything that is queued."""
        while (need := self._next()) is not None:
            try:
                self._serve(need)
            except ServerDiskFailed as error:  # the device asks again, and the others must not wait
                _log.error("device=%s gets no blocks: %s", need.device, error.text())
                self._storage.alarm(need.sha256)

    def _next(self) -> Need | None:
        with self._lock:
            return self._waiting.popitem(last=False)[1] if self._waiting else None

    def _serve(self, need: Need) -> None:
        total = self._size_if_allowed(need)
        if total is None:
            _log.warning("device=%s asked for a file that is not assigned to it: %.64s", need.device, need.sha256)
            return
        wanted = [index for index in need.blocks[: blocks.WINDOW] if 0 <= index < blocks.block_count(total)]
        topic, last = topics.of(topics.BLOCK, need.device), None
        for index in wanted:
            length = blocks.block_length(total, index)
            data = self._blobs.read_range(need.sha256, index * blocks.BLOCK_BYTES, length)
            payload = blocks.encode(Block(need.sha256, index, total, data))
            last = self._connection.publish(topic, payload, topics.BLOCK.qos)
            self._metrics.count_block(length)
        if last is not None:
            self._connection.is_delivered(last, _WRITE_TIMEOUT)

    def _size_if_allowed(self, need: Need) -> int | None:
        """The file's size, if the device's assignment in force names it."""
        with self._database.read() as session:
            device = session.get(Device, need.device)
            assignment = assignments.in_force(session, device) if device is not None else None
            if assignment is None or need.sha256 not in (assignment.bundle_sha256, assignment.vectors_sha256):
                return None
            blob = session.get(Blob, need.sha256)
            return blob.size if blob is not None else None
