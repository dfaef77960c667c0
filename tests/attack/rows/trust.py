"""What makes a device believe, and what it remembers so that nothing old comes back."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from types import SimpleNamespace
from typing import Any

from attack.defence import Defence, answering, value

_AGENT = "tests/unit/test_agent_trust.py"
_TRUST = "tests/unit/test_contract_trust.py"
_FAST_FORWARD = "tests/attack/test_attack_fast_forward.py"
_ENVELOPES = "tests/unit/test_contract_envelopes.py"
_CONFIRMATIONS = "tests/attack/test_attack_confirmations.py"


def _unverified(_original: Any) -> Any:
    """Whatever stands in an envelope, whoever signed it."""

    def verify(envelope: bytes, *_: object) -> bytes:
        return base64.b64decode(json.loads(envelope)["payload"])

    return verify


def _forgetful(original: Any) -> Any:
    """Whatever is acknowledged, everything is forgotten."""

    def acknowledge(self: Any, _boot: str, _through: int) -> int:
        return sum(original(self, boot, 1 << 60) for boot in {pending.boot for pending in self._pending})

    return acknowledge


def _once(original: Any) -> Any:
    """Tried when a bundle is confirmed, and never again."""

    def raise_floors(self: Any) -> None:
        try:
            original(self)
        finally:
            self._owes_floors = False

    return raise_floors


ROWS = (
    Defence(
        "an assignment that the server did not make",
        "signed by the assignment keys that the newest root names",
        (
            f"{_TRUST}::test_an_assignment_needs_the_assignment_key",
            f"{_AGENT}::test_an_assignment_by_a_strange_key_is_refused",
            f"{_AGENT}::test_an_unsigned_assignment_is_refused",
            "tests/unit/test_agent_trust.py::test_the_keys_obeyed_are_those_of_the_newest_root_and_none_where_it_is_lost",
            f"{_AGENT}::test_bytes_that_are_no_message_are_refused",
            f"{_FAST_FORWARD}::test_a_replaced_assignment_key_assigns_nothing_more",
        ),
        {"edgefleet_contract.dsse.verify": _unverified},
    ),
    Defence(
        "an assignment for another device is sent to this one",
        "the signed assignment names its device and hardware",
        (f"{_TRUST}::test_refused", f"{_AGENT}::test_an_assignment_for_another_device_is_refused"),
        {"edgefleet_contract.trust.acceptance._check_addressee": answering()},
    ),
    Defence(
        "rollback: an old assignment is replayed",
        "sequence floor, in a file of its own that survives the loss of every other",
        (
            f"{_TRUST}::test_refused",
            f"{_AGENT}::test_a_replayed_assignment_is_refused",
            f"{_AGENT}::test_another_content_under_the_same_sequence_is_refused",
            f"{_AGENT}::test_a_floor_survives_the_loss_of_everything_else",
            f"{_AGENT}::test_the_known_assignment_come_again_is_no_news",
        ),
        {"edgefleet_contract.trust.acceptance._check_sequence": answering(False)},
    ),
    Defence(
        "a statement of one kind, or of another scheme, is passed off as another",
        "the type is signed with the payload; the scheme is pinned at enrolment",
        (
            f"{_ENVELOPES}::test_a_statement_of_one_type_is_not_taken_for_another",
            f"{_ENVELOPES}::test_garbage_is_refused_and_forgotten",
            "tests/unit/test_contract_trust.py::test_a_device_pinned_to_another_scheme_refuses_this_one",
        ),
        {"edgefleet_contract.dsse.pre_authentication_encoding": lambda _: lambda _kind, payload: payload},
    ),
    Defence(
        "an old, vulnerable release comes back under a new assignment",
        "nothing below the highest confirmed security floor, whatever permits it",
        (
            f"{_TRUST}::test_even_a_confirmed_release_does_not_come_back_below_the_security_floor",
            f"{_TRUST}::test_a_permit_does_not_lift_the_security_floor",
            f"{_AGENT}::test_the_servers_own_assignment_that_trust_refuses_is_rejected_under_its_sequence",
        ),
        {"edgefleet_contract.trust.history.height": answering(0)},
    ),
    Defence(
        "the disk is full, or the power fails, just when a confirmation raises the floors",
        "they are raised before anything else is taken, at each tick and start until they are durable",
        (
            f"{_CONFIRMATIONS}::test_floors_that_could_not_be_raised_are_raised_before_anything_else_is_taken",
            f"{_CONFIRMATIONS}::test_floors_are_raised_as_soon_as_there_is_room",
            f"{_CONFIRMATIONS}::test_floors_are_raised_at_a_start_before_a_slot_is_chosen",
        ),
        {"edgefleet_agent.deployment.Deployment._raise_floors": _once},
    ),
    Defence(
        "a bundle for other hardware",
        "hardware in the signed release and in the assignment",
        (f"{_TRUST}::test_a_bundle_for_other_hardware_is_refused_even_when_assigned",),
        {"edgefleet_contract.trust.acceptance._check_assigned": answering()},
    ),
    Defence(
        "a refused message is repeated without end",
        "the same message again costs nothing, not even a report",
        (f"{_AGENT}::test_a_refused_message_repeated_costs_one_report",),
        {"edgefleet_agent.daemon.hashlib": value(SimpleNamespace(sha256=lambda _: hashlib.sha256(os.urandom(8))))},
    ),
    Defence(
        "acknowledgements of what was not sent, so that telemetry is forgotten",
        "records leave the spool only for the boot and number that were sent",
        (f"{_AGENT}::test_acknowledgements_of_what_was_not_sent_forget_nothing",),
        {"edgefleet_agent.spool.Spool.acknowledge": _forgetful},
    ),
)
