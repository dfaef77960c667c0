"""What makes a device believe, and what it remembers so that nothing old comes back."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
from types import SimpleNamespace
from typing import Any

from attack.defence import Defence, answering, value

_AGENT = "tests/unit/test_agent_trust.py"
_TRUST = "tests/unit/test_contract_trust.py"
_METADATA = "tests/attack/test_attack_metadata.py"
_ANY_SIGNATURE = {"tuf.api._payload._DelegatorMixin.verify_delegate": answering()}


def _unverified(_original: Any) -> Any:
    """Whatever stands in an envelope, whoever signed it."""

    def verify(envelope: bytes, *_: object) -> bytes:
        return base64.b64decode(json.loads(envelope)["payload"])

    return verify


def _without_limits(original: Any) -> Any:
    lengths = ("timestamp", "snapshot", "targets")
    return dataclasses.replace(original, **{f"{name}_max_length": 1 << 40 for name in lengths})


def _forgetful(original: Any) -> Any:
    """Whatever is acknowledged, everything is forgotten."""

    def acknowledge(self: Any, _boot: str, _through: int) -> int:
        return sum(original(self, boot, 1 << 60) for boot in {pending.boot for pending in self._pending})

    return acknowledge


ROWS = (
    Defence(
        "arbitrary software: a stolen server or a hostile broker sends what was not released",
        "offline targets keys, with a threshold, say which bundles exist; online keys cannot",
        (
            f"{_METADATA}::test_online_keys_cannot_release_anything",
            f"{_METADATA}::test_the_keys_of_one_model_do_not_release_another",
            f"{_METADATA}::test_a_role_lists_only_paths_of_its_model",
            f"{_METADATA}::test_an_entry_that_speaks_of_another_bundle_is_refused",
            f"{_TRUST}::test_metadata_need_the_keys_of_their_own_role",
            f"{_TRUST}::test_a_bundle_that_nobody_released_is_refused",
            f"{_TRUST}::test_a_threshold_counts_keys_not_signatures",
            f"{_AGENT}::test_a_release_by_a_strange_key_is_rejected",
        ),
        _ANY_SIGNATURE,
    ),
    Defence(
        "an assignment that the server did not make",
        "signed by the assignment keys that the newest root names",
        (
            f"{_TRUST}::test_an_assignment_needs_the_assignment_key",
            f"{_AGENT}::test_an_assignment_by_a_strange_key_is_refused",
            f"{_AGENT}::test_an_unsigned_assignment_is_refused",
            f"{_AGENT}::test_bytes_that_are_no_message_are_refused",
            f"{_METADATA}::test_a_replaced_assignment_key_assigns_nothing_more",
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
        "rollback: old metadata, and with them old bundles",
        "floors for the version of every role, in a file of their own",
        (
            f"{_METADATA}::test_no_part_of_the_metadata_goes_back",
            f"{_METADATA}::test_an_old_repository_is_refused_even_when_the_metadata_are_lost",
            f"{_METADATA}::test_an_old_root_is_refused_with_all_that_it_signed",
            f"{_AGENT}::test_an_old_repository_is_refused_though_the_metadata_were_wiped",
        ),
        {"edgefleet_contract.trust.updater._raise_versions": lambda _: lambda floor, *_args: floor},
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
        "the store of metadata or floors is wiped, and then something old is sent",
        "each is reckoned from the other, and from what the device has confirmed",
        (
            f"{_METADATA}::test_a_lost_floor_is_reckoned_from_the_metadata",
            f"{_AGENT}::test_a_replay_is_refused_though_the_floor_was_wiped",
        ),
        {"edgefleet_contract.trust.acceptance._standing_floor": lambda _: lambda store: store.floor()},
    ),
    Defence(
        "freeze: the newest metadata are held back",
        "timestamp and snapshot live seven days; past that nothing new is activated",
        (
            f"{_METADATA}::test_a_freeze_ends_with_the_life_of_the_metadata",
            f"{_METADATA}::test_expiry_goes_by_the_devices_clock_alone",
            f"{_AGENT}::test_metadata_held_back_past_their_life_are_refused",
        ),
        {"tuf.api._payload.Signed.is_expired": answering(False)},
    ),
    Defence(
        "fast-forward: a thief of online or targets keys signs the highest numbers, to lock the owner out",
        "floors belong to keys: a root that replaces the keys lets them fall, and only those",
        (
            f"{_METADATA}::test_a_root_that_replaces_stolen_keys_lets_the_owner_in_again",
            f"{_METADATA}::test_only_the_floors_of_replaced_keys_fall",
            f"{_METADATA}::test_a_key_added_lets_no_floor_fall",
            f"{_AGENT}::test_a_known_assignment_brings_a_root_that_replaces_stolen_keys",
        ),
        {"edgefleet_contract.trust.floors.KeySet.lives_on_in": answering(True)},
        ends_with="AssignmentReplayed",
    ),
    Defence(
        "a root that its predecessor did not sign; roots skipped, or three of them missed",
        "each root is signed by the one before, with its threshold, and followed one by one",
        (
            f"{_METADATA}::test_a_root_needs_the_keys_of_the_one_before",
            f"{_METADATA}::test_a_root_of_two_keys_needs_both",
            f"{_METADATA}::test_a_root_is_not_skipped",
            f"{_METADATA}::test_a_device_that_missed_three_roots_follows_them",
            f"{_AGENT}::test_a_forged_proof_of_a_known_assignment_changes_nothing",
        ),
        _ANY_SIGNATURE,
    ),
    Defence(
        "an old root key that was replaced signs another history",
        "the device remembers which root it followed under each number",
        (f"{_METADATA}::test_an_abandoned_root_key_makes_no_other_history",),
        {"edgefleet_contract.trust.updater._check_known": answering()},
    ),
    Defence(
        "endless metadata",
        "limits for each file, the number of files, roots, and the proof as a whole",
        (
            f"{_METADATA}::test_endless_metadata_are_not_read_to_their_end",
            f"{_METADATA}::test_an_endless_proof_and_endless_roots_cost_nothing",
        ),
        {"edgefleet_contract.trust.updater._LIMITS": _without_limits},
    ),
    Defence(
        "a statement of one kind, or of another scheme, is passed off as another",
        "the type is signed with the payload; the scheme is pinned at enrolment",
        (
            f"{_TRUST}::test_a_statement_of_one_type_is_not_taken_for_another",
            f"{_TRUST}::test_a_proof_of_another_scheme_is_refused",
            f"{_TRUST}::test_garbage_is_refused_and_forgotten",
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
        "a downgrade that the owner did not permit",
        "a permit by the offline targets keys, for these devices and this bundle, with an expiry",
        (
            f"{_TRUST}::test_a_permit_for_something_else_permits_nothing",
            f"{_TRUST}::test_no_online_key_signs_a_permit",
        ),
        {"edgefleet_contract.trust.history._check_permit": answering()},
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
