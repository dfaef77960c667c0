"""The life of a deployment on a device, as one table; pure, so that a simulator runs the same rules by the thousand.

An event meets the state in a row of :data:`TABLE`. The row says how the record changes and what is done next. The new
record is durable before anything is done about it, so that after a power cut ``Started`` meets the state that was
reached and does its work again; every action may therefore be done twice.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Literal, TypeAlias

import msgspec

from edgefleet_agent.events import (
    Assigned,
    Damaged,
    Event,
    Fetched,
    Filled,
    Healthy,
    Invalid,
    Observed,
    Refused,
    Started,
    Unable,
    Unhealthy,
    Verified,
    Withdrawn,
)
from edgefleet_agent.record import Record
from edgefleet_contract.messages import DeviceState

TRIALS_LIMIT = 3  # starts of one trial: a model that takes the whole device down must not do so for ever
_CONFIRMED_LIMIT = 256  # digests remembered as confirmed, the newest


class Action(Enum):
    """What is done once the new record is durable; it may answer with the next event."""

    REST = auto()  # nothing: wait for the server
    FETCH = auto()  # ask for the blocks that are missing -> Fetched, Invalid, Unable
    VERIFY = auto()  # look at the bundle in a process of its own -> Verified, Filled, Invalid, Unable
    UNPACK = auto()  # fill the spare slot -> Filled, Unable
    TRY_OUT = auto()  # load it, run golden vectors and rollout vectors -> Healthy, Unhealthy, Invalid, Unable
    SETTLE = auto()  # serve it, raise the floors, begin probation
    TIDY = auto()  # drop what was downloaded for nothing


# --- how a record changes --------------------------------------------------------------------------------------------


def take_on(record: Record, event: Assigned | Withdrawn) -> Record:
    """Begin with a new assignment."""
    return msgspec.structs.replace(
        record, sequence=event.accepted.mark.sequence, assigners=event.accepted.mark.keys, accepted=event.accepted,
        trial=None, trials=0, error=record.lost, evidence=[], probation_over=False,
    )  # fmt: skip


def refuse(record: Record, event: Refused) -> Record:
    """Remember which assignment was refused, and why."""
    return msgspec.structs.replace(
        record, sequence=event.mark.sequence, assigners=event.mark.keys, accepted=None, trial=None, error=event.error,
        evidence=[],
    )  # fmt: skip


def keep(record: Record, _: Event) -> Record:
    """Change nothing but the state."""
    return record


def make_room(record: Record, _: Verified) -> Record:
    """Forget what the spare slot holds, before it is overwritten."""
    slots = {name: digest for name, digest in record.slots.items() if name != record.spare}
    return msgspec.structs.replace(record, slots=slots)


def put_on_trial(record: Record, event: Filled) -> Record:
    """The slot holds the assigned bundle, and its first trial begins."""
    assert record.assigned_digest is not None
    slots = {**record.slots, event.slot: record.assigned_digest}
    return msgspec.structs.replace(record, slots=slots, trial=event.slot, trials=1)


def try_again(record: Record, _: Started) -> Record:
    """The trial was cut off, and begins once more."""
    return msgspec.structs.replace(record, trials=record.trials + 1)


def confirm(record: Record, event: Healthy) -> Record:
    """The trial's slot serves from now on."""
    assert record.trial is not None
    digest = record.slots[record.trial]
    confirmed = [digest, *(earlier for earlier in record.confirmed if earlier != digest)][:_CONFIRMED_LIMIT]
    return msgspec.structs.replace(
        record, running=record.trial, trial=None, confirmed=confirmed, error=event.error, lost=None,
        evidence=[event.evidence] if event.evidence else [],
    )  # fmt: skip


def observe(record: Record, event: Observed) -> Record:
    """Newer evidence of a phase replaces the older."""
    evidence = record.evidence
    if event.evidence:
        evidence = [old for old in evidence if old.phase != event.evidence.phase] + [event.evidence]
    return msgspec.structs.replace(
        record, evidence=evidence, error=event.error or record.lost, probation_over=event.last
    )


def fall_back(record: Record, event: Damaged) -> Record:
    """Forget the slot that serves; the other one serves if it was confirmed before."""
    slots = {name: digest for name, digest in record.slots.items() if name != record.running}
    running = next((name for name, digest in slots.items() if digest in record.confirmed), None)
    return msgspec.structs.replace(
        record, slots=slots, running=running, trial=None, error=event.error, lost=event.error
    )


def note(record: Record, event: Unable) -> Record:
    """Say what is amiss; nothing else changes."""
    return msgspec.structs.replace(record, error=event.error)


def give_up(record: Record, event: Unhealthy | Invalid | Unable) -> Record:
    """The last confirmed slot goes on; say why."""
    return msgspec.structs.replace(record, trial=None, error=event.error)


# --- the table -------------------------------------------------------------------------------------------------------

Resting = Literal["resting"]  # "confirmed" if a slot serves, else "idle"
Change: TypeAlias = Callable[[Record, Any], Record]
Row: TypeAlias = tuple[DeviceState, type[Event], Change, DeviceState | Resting, Action]

TABLE: tuple[Row, ...] = (
    # state          event      record        next state     action
    ("idle",         Started,   keep,         "idle",        Action.REST),
    ("idle",         Assigned,  take_on,      "downloading", Action.FETCH),
    ("idle",         Withdrawn, take_on,      "idle",        Action.REST),
    ("idle",         Refused,   refuse,       "rejected",    Action.REST),
    # Silence is no event: the blocks may come when the network does. Only a newer assignment ends the waiting.
    ("downloading",  Damaged,   fall_back,    "downloading", Action.REST),
    ("downloading",  Started,   keep,         "downloading", Action.FETCH),
    ("downloading",  Assigned,  take_on,      "downloading", Action.FETCH),
    ("downloading",  Withdrawn, take_on,      "resting",     Action.TIDY),
    ("downloading",  Refused,   refuse,       "rejected",    Action.TIDY),
    ("downloading",  Fetched,   keep,         "verifying",   Action.VERIFY),
    ("downloading",  Invalid,   give_up,      "rejected",    Action.TIDY),
    ("downloading",  Unable,    give_up,      "failed",      Action.REST),
    # Verifying and trial are done in one breath: no message is read before they end.
    ("verifying",    Damaged,   fall_back,    "verifying",   Action.REST),
    ("verifying",    Started,   keep,         "verifying",   Action.VERIFY),
    ("verifying",    Verified,  make_room,    "verifying",   Action.UNPACK),
    ("verifying",    Filled,    put_on_trial, "trial",       Action.TRY_OUT),
    ("verifying",    Invalid,   give_up,      "rejected",    Action.TIDY),
    ("verifying",    Unable,    give_up,      "failed",      Action.REST),
    ("trial",        Damaged,   fall_back,    "failed",      Action.REST),
    ("trial",        Started,   try_again,    "trial",       Action.TRY_OUT),
    ("trial",        Healthy,   confirm,      "confirmed",   Action.SETTLE),
    ("trial",        Unhealthy, give_up,      "reverted",    Action.TIDY),
    ("trial",        Invalid,   give_up,      "rejected",    Action.TIDY),
    ("trial",        Unable,    give_up,      "failed",      Action.REST),
    # A confirmation is final for the device; only a new assignment ends it, or storage that fails.
    ("confirmed",    Damaged,   fall_back,    "failed",      Action.REST),
    ("confirmed",    Started,   keep,         "confirmed",   Action.SETTLE),
    ("confirmed",    Observed,  observe,      "confirmed",   Action.REST),
    ("confirmed",    Unable,    note,         "confirmed",   Action.REST),
    ("confirmed",    Assigned,  take_on,      "downloading", Action.FETCH),
    ("confirmed",    Withdrawn, take_on,      "confirmed",   Action.REST),
    ("confirmed",    Refused,   refuse,       "rejected",    Action.REST),
    ("reverted",     Damaged,   fall_back,    "reverted",    Action.REST),
    ("reverted",     Started,   keep,         "reverted",    Action.TIDY),
    ("reverted",     Assigned,  take_on,      "downloading", Action.FETCH),
    ("reverted",     Withdrawn, take_on,      "resting",     Action.REST),
    ("reverted",     Refused,   refuse,       "rejected",    Action.REST),
    # What was downloaded is kept: the same bundle may come again under a new sequence.
    ("failed",       Damaged,   fall_back,    "failed",      Action.REST),
    ("failed",       Started,   keep,         "failed",      Action.REST),
    ("failed",       Assigned,  take_on,      "downloading", Action.FETCH),
    ("failed",       Withdrawn, take_on,      "resting",     Action.TIDY),
    ("failed",       Refused,   refuse,       "rejected",    Action.TIDY),
    ("rejected",     Damaged,   fall_back,    "rejected",    Action.REST),
    ("rejected",     Started,   keep,         "rejected",    Action.TIDY),
    ("rejected",     Assigned,  take_on,      "downloading", Action.FETCH),
    ("rejected",     Withdrawn, take_on,      "resting",     Action.REST),
    ("rejected",     Refused,   refuse,       "rejected",    Action.REST),
)  # fmt: skip

_ROWS = {(state, event): (change, following, action) for state, event, change, following, action in TABLE}


def step(record: Record, event: Event) -> tuple[Record, Action]:
    """The record after ``event``, and what to do once it is durable.

    Raises:
        KeyError: The table has no such row: the event cannot come in this state.
    """
    change, following, action = _ROWS[record.state, type(event)]
    changed = change(record, event)
    if following == "resting":
        following = "idle" if changed.running is None else "confirmed"
    return msgspec.structs.replace(changed, state=following), action
