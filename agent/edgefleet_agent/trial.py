"""The trial of a slot, and the evidence that is gathered in it and in the probation after it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from edgefleet_agent import evidence, health
from edgefleet_agent.evidence import Outcome
from edgefleet_agent.folder import SlotName
from edgefleet_agent.inference import InferenceChild, Limits
from edgefleet_agent.private import ContentKeys
from edgefleet_agent.record import Record
from edgefleet_agent.served import ServedModel
from edgefleet_agent.slots import Slots
from edgefleet_contract.errors import EdgefleetError, InferenceFailed, InputError
from edgefleet_contract.messages import ErrorReport, Evidence

log = logging.getLogger(__name__)


class Trials:
    """Runs bundles on vectors, their own and the rollout's.

    Args:
        slots: Where bundles lie.
        content_keys: Open the private ones.
        served: The model that serves; in a trial it is the incumbent, in probation the candidate.
        limits: Of inference children.
    """

    def __init__(self, slots: Slots, content_keys: ContentKeys, served: ServedModel, limits: Limits) -> None:
        self._slots = slots
        self._content_keys = content_keys
        self._served = served
        self._limits = limits

    def try_out(
        self, record: Record, vectors: Path | None
    ) -> tuple[InferenceChild, Evidence | None, ErrorReport | None]:
        """Load the slot on trial, check its health and gather evidence.

        Args:
            record: Whose ``trial`` names the slot.
            vectors: The rollout vectors, if the assignment has some.

        Returns:
            The child that has the slot loaded, the evidence, and what kept it from being gathered.

        Raises:
            HealthCheckFailed: The golden vectors do not come out.
            InferenceFailed: The model does not load, crashes or hangs.
            RuntimeUnavailable: Its runtime is not installed.
        """
        assert record.trial is not None
        child = self._load(record.trial)
        try:
            health.check(child, self._slots.manifest(record.trial))
            if vectors is None:
                return child, None, None
            return child, *self._gather(record, "trial", child, vectors)
        except BaseException:
            child.close()
            raise

    def observe(self, record: Record, vectors: Path) -> tuple[Evidence | None, ErrorReport | None]:
        """Run the rollout vectors on what serves now, and on what served before.

        Returns:
            The evidence, and what kept it from being gathered.
        """
        try:
            return self._gather(record, "probation", self._served.child, vectors)
        except InferenceFailed as error:
            return None, ErrorReport(error.code, error.text())

    def _load(self, slot: SlotName) -> InferenceChild:
        return InferenceChild(self._slots.path(slot), self._limits, self._content_keys.of_slot(slot))

    def _gather(
        self, record: Record, phase: Literal["trial", "probation"], child: InferenceChild, vectors: Path
    ) -> tuple[Evidence | None, ErrorReport | None]:
        assert record.accepted is not None
        assert record.assigned_digest is not None
        try:
            candidate = evidence.run_vectors(child, record.assigned_digest, vectors)
        except InputError as error:
            log.warning("vectors do not fit the model code=%s: %s", error.code, error)
            return None, ErrorReport(error.code, error.text())
        return evidence.pair(record.accepted.assignment, phase, candidate, self._incumbent(record, vectors)), None

    def _incumbent(self, record: Record, vectors: Path) -> Outcome | None:
        """The vectors' outcome by the bundle confirmed before the assigned one; None if there is none, or it fails."""
        try:
            running = record.running_digest
            if running is not None and running != record.assigned_digest:
                return evidence.run_vectors(self._served.child, running, vectors)
            before = record.slots.get(record.spare)
            if before is None or before not in record.confirmed or before == record.assigned_digest:
                return None
            with self._load(record.spare) as child:
                return evidence.run_vectors(child, before, vectors)
        except EdgefleetError as error:
            log.warning("no outcome of the incumbent code=%s: %s", error.code, error)
            return None
