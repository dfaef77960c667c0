"""The model that serves: the confirmed slot in an inference child, started again when it dies."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from edgefleet_agent.clock import Clock
from edgefleet_agent.folder import SlotName
from edgefleet_agent.frames import Inferred
from edgefleet_agent.inference import InferenceChild, Limits
from edgefleet_agent.jitter import Backoff
from edgefleet_agent.private import ContentKeys
from edgefleet_agent.sampling import Sampler
from edgefleet_agent.slots import Slots
from edgefleet_agent.spool import Spool
from edgefleet_agent.telemetry import Telemetry
from edgefleet_contract.errors import EdgefleetError, InferenceFailed
from edgefleet_contract.manifest import Manifest
from edgefleet_contract.sketches import Sketch

log = logging.getLogger(__name__)

_FIRST_RESTART_S = 1.0
_LAST_RESTART_S = 60.0


@dataclass(frozen=True)
class Confirmed:
    """What is served: a slot, and what its bundle says of itself."""

    slot: SlotName
    digest: str
    manifest: Manifest


class ServedModel:
    """Answers inference requests from the confirmed slot.

    :meth:`infer` may be called from any thread; what is served is changed by the agent's main thread alone.

    Args:
        slots: Where bundles lie.
        content_keys: Open the private ones.
        limits: Of inference children.
        clock: For the waits between restarts.
        telemetry: Counts what is inferred.
        spool: Takes the record of a window when it closes.
        sampler: Keeps inputs, if the bundle's policy says so.
    """

    def __init__(
        self,
        slots: Slots,
        content_keys: ContentKeys,
        limits: Limits,
        clock: Clock,
        *,
        telemetry: Telemetry,
        spool: Spool,
        sampler: Sampler,
    ) -> None:
        self._slots = slots
        self._content_keys = content_keys
        self._limits = limits
        self._clock = clock
        self._telemetry = telemetry
        self._spool = spool
        self._sampler = sampler
        self._confirmed: Confirmed | None = None
        self._child: InferenceChild | None = None
        self._backoff = Backoff(_FIRST_RESTART_S, _LAST_RESTART_S)
        self._restart_at = 0.0

    @property
    def confirmed(self) -> Confirmed | None:
        """What is served; None before the first confirmation."""
        return self._confirmed

    @property
    def is_ready(self) -> bool:
        """Whether a request would be answered now."""
        child = self._child
        return child is not None and child.is_alive

    @property
    def child(self) -> InferenceChild:
        """The child that serves.

        Raises:
            InferenceFailed: There is none now.
        """
        child = self._child
        if child is None or not child.is_alive:
            raise InferenceFailed("No model is being served at the moment", remedy="Try again in a minute.")
        return child

    def infer(self, body: bytes) -> bytes:
        """Answer an Open Inference Protocol request.

        Raises:
            InputError: The request is not what the model takes.
            InferenceFailed: The model failed, or there is none now.
        """
        try:
            answer = self._infer(self.child, body)
        except InferenceFailed:
            self._telemetry.count_error()
            raise
        self._telemetry.count(answer.milliseconds)
        if self._confirmed is not None:
            self._sampler.offer(body, self._confirmed.digest, self._confirmed.manifest)
        return answer.body

    def serve(self, slot: SlotName, digest: str, child: InferenceChild | None) -> None:
        """Serve this slot from now on.

        Args:
            slot: Of the confirmed bundle.
            digest: Of the bundle.
            child: Has the slot loaded; without it, one is started.

        Raises:
            DataFolderMalformed: The slot holds no bundle.
        """
        manifest = self._slots.manifest(slot)
        if self._confirmed is not None:
            self.close_window()
        retired, self._child = self._child, child
        self._confirmed = Confirmed(slot, digest, manifest)
        self._restart_at = 0.0
        self._backoff.reset()
        if retired is not None:
            retired.retire()
        self.tick()

    def tick(self) -> None:
        """Start the child again if it died and its time has come; close the telemetry window if it is due."""
        if self._confirmed is not None and not self.is_ready and self._clock.monotonic() >= self._restart_at:
            self._start(self._confirmed.slot)
        if self._confirmed is not None and self._telemetry.is_due:
            self.close_window()

    def close_window(self) -> None:
        """Put the record of the telemetry window into the spool, if something is served."""
        if self._confirmed is None:
            return
        record = self._telemetry.close_window(self._confirmed.digest, self._take_sketch())
        try:
            self._spool.append(record)
        except EdgefleetError as error:
            log.warning("telemetry lost n=%d code=%s: %s", record.n, error.code, error)

    def stop(self) -> None:
        """Close the window, and end the child."""
        self.close_window()
        child, self._child = self._child, None
        if child is not None:
            child.retire()

    def _infer(self, child: InferenceChild, body: bytes) -> Inferred:
        try:
            return child.infer(body)
        except InferenceFailed:
            if self._child is child or not self.is_ready:
                raise
            return self.child.infer(body)  # another one took over while this request waited for its turn

    def _start(self, slot: SlotName) -> None:
        if self._child is not None:
            self._child.close()
        now = self._clock.monotonic()
        if now - self._restart_at > _LAST_RESTART_S:
            self._backoff.reset()  # the last one lived long enough to count as sound
        self._restart_at = now + self._backoff.next()
        try:
            self._child = InferenceChild(self._slots.path(slot), self._limits, self._content_keys.of_slot(slot))
        except EdgefleetError as error:
            log.warning("model does not start slot=%s code=%s: %s", slot, error.code, error)
            return
        log.info("model serves slot=%s pid=%d", slot, self._child.pid)

    def _take_sketch(self) -> Sketch | None:
        try:
            return self.child.take_sketch().sketch
        except InferenceFailed:
            return None  # a child that died took its window's sketch along; the counts are here
