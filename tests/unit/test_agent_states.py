"""The state table: every message finds a row, and what runs changes by confirmation alone."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from edgefleet_agent import events, states
from edgefleet_agent.record import Record
from edgefleet_agent.states import Action, step
from edgefleet_contract.messages import DeviceState, ErrorReport, Evidence, VectorsResult
from edgefleet_contract.trust import Accepted, Assignment

ERROR = ErrorReport("bundle.hash_mismatch", "why")
# No message is read while these last: they end before the next one.
BREATHLESS = ("verifying", "trial")


def accepted(sequence: int, digest: str | None = "d" * 64) -> Accepted:
    return Accepted(Assignment(1, "d-aaaaaaaaaaaaaaaa", "x86-64", digest, sequence, 1), None, None, repeated=False)


def evidence(phase: str, correct: int) -> Evidence:
    return Evidence(2, phase, "v" * 64, 10, VectorsResult("d" * 64, "o" * 64, correct))


SERVING = Record(
    state="confirmed", sequence=1, accepted=accepted(1, "c" * 64), slots={"a": "c" * 64}, running="a",
    confirmed=["c" * 64],
)  # fmt: skip


@pytest.mark.parametrize("state", [state for state in get_args(DeviceState) if state not in BREATHLESS])
@pytest.mark.parametrize("event", [events.Assigned, events.Withdrawn, events.Refused, events.Started])
def test_every_resting_state_has_a_row_for_every_message(state: DeviceState, event: type) -> None:
    assert [row for row in states.TABLE if row[:2] == (state, event)] != []


def test_no_state_and_event_have_two_rows() -> None:
    pairs = [row[:2] for row in states.TABLE]
    assert len(set(pairs)) == len(pairs)


def test_every_state_that_works_says_what_a_start_does() -> None:
    assert {state for state, event, *_ in states.TABLE if event is events.Started} == set(get_args(DeviceState))


def test_a_deployment_goes_from_assignment_to_confirmation() -> None:
    record, action = step(SERVING, events.Assigned(accepted(2)))
    assert (record.state, record.sequence, action) == ("downloading", 2, Action.FETCH)
    record, action = step(record, events.Fetched())
    assert (record.state, action) == ("verifying", Action.VERIFY)
    record, action = step(record, events.Verified())
    assert (record.slots, action) == ({"a": "c" * 64}, Action.UNPACK)
    record, action = step(record, events.Filled("b"))
    assert (record.state, record.trial, record.trials, action) == ("trial", "b", 1, Action.TRY_OUT)
    assert record.running_digest == "c" * 64
    record, action = step(record, events.Healthy(evidence("trial", 9), None))
    assert (record.state, record.running, record.trial, action) == ("confirmed", "b", None, Action.SETTLE)
    assert record.confirmed == ["d" * 64, "c" * 64]


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (events.Unhealthy(ERROR), "reverted"),
        (events.Invalid(ERROR), "rejected"),
        (events.Unable(ERROR), "failed"),
    ],
)
def test_a_trial_that_ends_badly_leaves_the_last_confirmed_slot(event: events.Event, state: str) -> None:
    trial = msgspec.structs.replace(
        SERVING, state="trial", accepted=accepted(2), trial="b", slots={"a": "c" * 64, "b": "d" * 64}
    )
    record, _ = step(trial, event)
    assert (record.state, record.running, record.trial, record.error) == (state, "a", None, ERROR)
    assert record.confirmed == ["c" * 64]


def test_a_withdrawal_stays_with_what_runs() -> None:
    downloading, _ = step(SERVING, events.Assigned(accepted(2)))
    record, action = step(downloading, events.Withdrawn(accepted(3, None)))
    assert (record.state, record.sequence, record.running_digest, action) == ("confirmed", 3, "c" * 64, Action.TIDY)


def test_a_withdrawal_of_the_first_assignment_leaves_the_device_idle() -> None:
    downloading, _ = step(Record(), events.Assigned(accepted(1)))
    assert step(downloading, events.Withdrawn(accepted(2, None)))[0].state == "idle"


def test_room_is_made_in_the_slot_that_does_not_serve() -> None:
    both = msgspec.structs.replace(SERVING, state="verifying", slots={"a": "c" * 64, "b": "e" * 64})
    assert step(both, events.Verified())[0].slots == {"a": "c" * 64}
    assert both.spare == "b"


def test_newer_evidence_replaces_the_older_of_its_phase() -> None:
    record = msgspec.structs.replace(SERVING, evidence=[evidence("trial", 9), evidence("probation", 8)])
    record, _ = step(record, events.Observed(evidence("probation", 7), None, last=True))
    assert [seen.candidate.correct for seen in record.evidence] == [9, 7]
    assert record.probation_over


def test_an_interrupted_trial_counts_its_starts() -> None:
    trial = msgspec.structs.replace(SERVING, state="trial", trial="b", trials=1)
    record, action = step(trial, events.Started())
    assert (record.trials, action) == (2, Action.TRY_OUT)
