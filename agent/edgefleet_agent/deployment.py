"""Does what the state table says: fetches, verifies, unpacks, tries out and settles bundles."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from edgefleet_agent import detection, events, states, verify
from edgefleet_agent.events import Event
from edgefleet_agent.folder import SlotName
from edgefleet_agent.inference import InferenceChild
from edgefleet_agent.judgement import judge_desired, judge_slot, told
from edgefleet_agent.parts import Parts
from edgefleet_agent.probation import Probation
from edgefleet_agent.record import Record, save_record
from edgefleet_agent.slots import Seal
from edgefleet_agent.states import Action
from edgefleet_contract import trust
from edgefleet_contract.blocks import Block
from edgefleet_contract.errors import (
    AssignmentExpired,
    BundleMalformed,
    ContentKeyMissing,
    DataFolderMalformed,
    DiskFailed,
    EdgefleetError,
    HealthCheckFailed,
    InferenceFailed,
    VerificationError,
)
from edgefleet_contract.trust import Accepted, FileReference, ReleasedBundle

log = logging.getLogger(__name__)


class Deployment:
    """The state machine at work; one thread owns it.

    Args:
        parts: What it works with.
        record: The state as it was left.
        changed: Called after each change of the state, which is durable by then.
    """

    def __init__(self, parts: Parts, record: Record, changed: Callable[[Record], None]) -> None:
        self._parts = parts
        self._record = record
        self._changed = changed
        self._tried: InferenceChild | None = None
        self._probation: Probation | None = None
        self._owes_floors = record.state == "confirmed"  # or they may stand: raising them twice does no harm

    @property
    def record(self) -> Record:
        """The state as it is."""
        return self._record

    # --- what comes in -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Serve what is confirmed, and go on with what a stop interrupted."""
        self._attempt(self._raise_floors)  # first: they say what may serve
        self._serve_what_is_whole()
        record = self._record
        if record.state == "trial" and record.trials >= states.TRIALS_LIMIT:
            failure = HealthCheckFailed(f"The trial was cut off {record.trials} times", expected="that it ends")
            self._apply(events.Unhealthy(told(failure)))
        else:
            self._apply(events.Started())

    def desired(self, assignment: bytes, proof: bytes) -> None:
        """Take an assignment, if trust says yes to it; with none, or one that is known, only newer metadata.

        Raises:
            VerificationError: It is not the server's, not for this device, or an old one; nothing has changed.
            DiskFailed: The floor cannot be raised; nothing has changed.
        """
        self._raise_floors()
        self._apply(judge_desired(self._parts, self._record, assignment, proof))

    def take_block(self, block: Block) -> None:
        """Take a block, if it is one that is missing."""
        if self._record.state == "downloading":
            fetcher = self._parts.fetcher
            self._apply(self._attempt(lambda: events.Fetched() if fetcher.take(block) else None))

    def connected(self) -> None:
        """The broker is there: whatever was asked for before is lost."""
        if self._record.state == "downloading":
            self._parts.fetcher.ask_again()

    def tick(self) -> None:
        """Ask for blocks again, watch the probation, and raise the floors if that was impossible so far."""
        self._attempt(self._raise_floors)
        if self._record.state == "downloading":
            self._apply(self._attempt(self._parts.fetcher.tick))
        if self._probation is not None and self._probation.is_due:
            self._apply(self._attempt(self._observe))

    def _serve_what_is_whole(self) -> None:
        while (slot := self._record.running) is not None:
            try:
                judge_slot(self._parts, self._record, slot)
            except EdgefleetError as error:
                self._apply(events.Damaged(told(error)))
            else:
                self._parts.served.serve(slot, self._record.slots[slot], None)
                return

    # --- the machine -------------------------------------------------------------------------------------------------

    def _apply(self, event: Event | None) -> None:
        """Follow the table from event to event until something has to be waited for."""
        while event is not None:
            record, action = states.step(self._record, event)
            try:
                if record != self._record:
                    save_record(self._parts.disk, self._parts.folder, record)
            except DiskFailed as error:
                if isinstance(event, events.Assigned | events.Withdrawn | events.Refused):
                    raise
                if not isinstance(event, events.Unable):
                    event = events.Unable(told(error))
                    continue
                log.warning("state not durable: %s", error)  # told all the same; after a restart it is tried again
            self._leave(self._record, record)
            self._record = record
            self._changed(record)
            event = self._attempt(self._acts(action))

    def _leave(self, before: Record, after: Record) -> None:
        log.info("state %s -> %s sequence=%d", before.state, after.state, after.sequence)
        if after.error is not None and after.error != before.error:
            log.warning("state %s code=%s: %s", after.state, after.error.code, after.error.text)
        if after.state not in ("trial", "confirmed"):
            self._drop_tried()
        if after.state != "confirmed" or after.sequence != before.sequence:
            self._probation = None

    def _acts(self, action: Action) -> Callable[[], Event | None]:
        return {
            Action.REST: lambda: None,
            Action.FETCH: self._fetch,
            Action.VERIFY: self._verify,
            Action.UNPACK: self._unpack,
            Action.TRY_OUT: self._try_out,
            Action.SETTLE: self._settle,
            Action.TIDY: self._tidy,
        }[action]

    def _attempt(self, act: Callable[[], Event | None]) -> Event | None:
        """Do something; what goes wrong becomes the event that it means."""
        try:
            return act()
        except (VerificationError, BundleMalformed) as error:
            return events.Invalid(told(error))
        except (HealthCheckFailed, InferenceFailed) as error:
            return events.Unhealthy(told(error))
        except EdgefleetError as error:
            return events.Unable(told(error))

    # --- actions -----------------------------------------------------------------------------------------------------

    def _fetch(self) -> Event | None:
        accepted, bundle = self._assigned()
        wanted = [] if self._whole_slot(bundle.digest) else [FileReference(bundle.sha256, bundle.bytes)]
        if accepted.assignment.vectors is not None:
            wanted.append(accepted.assignment.vectors)
        return events.Fetched() if self._parts.fetcher.begin(wanted) else None

    def _verify(self) -> Event:
        _, bundle = self._assigned()
        slot = self._whole_slot(bundle.digest)
        if slot is not None:
            self._renew_seal(slot)
            detection.check_runtime(self._parts.slots.manifest(slot).runtime, self._parts.runtimes)
            return events.Filled(slot)
        manifest = verify.check_bundle(
            self._downloaded(bundle), bundle, self._parts.store.pins.hardware, self._content_key()
        )
        detection.check_runtime(manifest.runtime, self._parts.runtimes)
        return events.Verified()

    def _unpack(self) -> Event:
        _, bundle = self._assigned()
        slot = self._record.spare
        wrapped, key = self._assigned()[0].assignment.content_key, self._content_key()
        if wrapped is None or key is None:
            self._parts.slots.fill(slot, self._downloaded(bundle))
        else:
            self._parts.slots.fill_sealed(slot, self._downloaded(bundle), Seal(bundle.sha256, wrapped), key)
        return events.Filled(slot)

    def _try_out(self) -> Event:
        accepted, _ = self._assigned()
        now, expires = self._parts.clock.now_ms(), accepted.assignment.expires
        if expires <= now:
            raise AssignmentExpired(
                f"Assignment {accepted.assignment.sequence} expired at {expires} ms, and it is {now} ms"
            )
        self._tried, gathered, amiss = self._parts.trials.try_out(self._record, self._vectors())
        return events.Healthy(gathered, amiss)

    def _settle(self) -> Event | None:
        """Serve what was confirmed. Every step may have been done before the agent was stopped."""
        record, accepted = self._record, self._record.accepted
        assert record.running is not None
        self._owes_floors = True
        amiss = self._attempt(self._raise_floors)
        if self._tried is not None:
            child, self._tried = self._tried, None
            self._parts.served.serve(record.running, record.slots[record.running], child)
        if accepted is not None and accepted.assignment.vectors is not None and not record.probation_over:
            self._probation = Probation(self._parts.clock, accepted.assignment.probation_ms)
        self._tidy()
        return amiss

    def _raise_floors(self) -> None:
        """Raise the floors that the last confirmation raises; until that is durable, no other assignment is taken."""
        if self._owes_floors:
            if self._record.accepted is not None:
                trust.confirm(self._record.accepted, self._parts.store)
            self._owes_floors = False

    def _observe(self) -> Event:
        probation, vectors = self._probation, self._vectors()
        assert probation is not None
        assert vectors is not None
        last = probation.next_is_last
        probation.count_run()
        if last:
            self._probation = None
        gathered, amiss = self._parts.trials.observe(self._record, vectors)
        return events.Observed(gathered, amiss, last)

    def _tidy(self) -> None:
        vectors = self._record.accepted.assignment.vectors if self._record.accepted else None
        kept = [vectors] if vectors is not None and self._record.state == "confirmed" else []
        try:
            self._parts.fetcher.keep_only(kept)
        except DiskFailed as error:
            log.warning("downloads not removed: %s", error)  # the next download removes them, or says why it cannot

    # --- what they ask ------------------------------------------------------------------------------------------------

    def _assigned(self) -> tuple[Accepted, ReleasedBundle]:
        accepted = self._record.accepted
        assert accepted is not None
        assert accepted.bundle is not None
        return accepted, accepted.bundle

    def _content_key(self) -> bytes | None:
        """What opens the assigned bundle; None where it is not private."""
        accepted, bundle = self._assigned()
        if not bundle.private:
            return None
        wrapped = accepted.assignment.content_key
        if wrapped is None:
            raise ContentKeyMissing(
                "The assigned bundle is private, and the assignment has no key for it", expected="its content key"
            )
        return self._parts.content_keys.unwrapped(wrapped, bundle.digest)

    def _renew_seal(self, slot: SlotName) -> None:
        """Keep the content key as it was wrapped last: the one in the slot may be for a key this device had before."""
        accepted, bundle = self._assigned()
        wrapped = accepted.assignment.content_key
        if wrapped is not None and self._parts.slots.seal(slot) is not None:
            self._parts.slots.keep_seal(slot, Seal(bundle.sha256, wrapped))

    def _whole_slot(self, digest: str) -> SlotName | None:
        """The slot that holds the bundle, every byte of it."""
        holders = [name for name, held in self._record.slots.items() if held == digest]
        return next((name for name in holders if self._parts.slots.is_whole(name, digest)), None)

    def _downloaded(self, bundle: ReleasedBundle) -> Path:
        return self._file(FileReference(bundle.sha256, bundle.bytes))

    def _vectors(self) -> Path | None:
        accepted = self._record.accepted
        if accepted is None or accepted.assignment.vectors is None:
            return None
        return self._file(accepted.assignment.vectors)

    def _file(self, reference: FileReference) -> Path:
        path = self._parts.fetcher.finished(reference)
        if path is None:
            raise DataFolderMalformed(f"The downloaded file {reference.sha256!r} is gone from the data folder")
        return path

    def _drop_tried(self) -> None:
        child, self._tried = self._tried, None
        if child is not None:
            child.close()
