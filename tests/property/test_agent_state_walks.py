"""Random walks through the state table: what serves changes by confirmation alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgefleet_agent import events, states
from edgefleet_agent.record import Record
from edgefleet_contract.messages import ErrorReport
from edgefleet_contract.trust import Accepted, Assignment, Mark

pytestmark = pytest.mark.property

ERROR = ErrorReport("internal", "why")


def event_of(kind: type[events.Event], record: Record, digest: str) -> events.Event:
    """An event of this kind, as it would come in this state."""
    sequence = record.sequence + 1
    assignment = Assignment(1, "d-aaaaaaaaaaaaaaaa", "x86-64", digest, sequence, 1)
    made: dict[type[events.Event], events.Event] = {
        events.Started: events.Started(),
        events.Damaged: events.Damaged(ERROR),
        events.Assigned: events.Assigned(Accepted(assignment, None, None, repeated=False)),
        events.Withdrawn: events.Withdrawn(Accepted(assignment, None, None, repeated=False)),
        events.Refused: events.Refused(Mark(sequence), ERROR),
        events.Fetched: events.Fetched(),
        events.Verified: events.Verified(),
        events.Filled: events.Filled(record.spare),
        events.Healthy: events.Healthy(None, None),
        events.Observed: events.Observed(None, None, last=False),
        events.Unhealthy: events.Unhealthy(ERROR),
        events.Invalid: events.Invalid(ERROR),
        events.Unable: events.Unable(ERROR),
    }
    return made[kind]


@given(st.data())
def test_only_a_healthy_trial_changes_what_serves(data: st.DataObject) -> None:
    record = Record()
    for _ in range(data.draw(st.integers(1, 40))):
        kinds = [event for state, event, *_ in states.TABLE if state == record.state]
        if record.running is None:
            kinds = [event for event in kinds if event is not events.Damaged]
        kind = data.draw(st.sampled_from(kinds))
        digest = data.draw(st.sampled_from(["a" * 64, "b" * 64, "c" * 64]))
        after, _ = states.step(record, event_of(kind, record, digest))
        if kind is events.Damaged:
            assert after.running is None or after.running_digest in record.confirmed
            assert after.running is None or after.running != record.running
        elif kind is events.Healthy:
            assert record.trial is not None
            assert after.running == record.trial
            assert after.confirmed[0] == after.running_digest == record.assigned_digest
        else:
            assert (after.running, after.confirmed) == (record.running, record.confirmed)
        if record.running is not None and kind is not events.Damaged:
            assert after.slots[record.running] == record.slots[record.running] or kind is events.Filled
            assert after.state != "idle"
        assert after.sequence >= record.sequence
        assert (after.trial is not None) == (after.state == "trial")
        record = after
