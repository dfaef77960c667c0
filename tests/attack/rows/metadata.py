"""What keeps old, mixed, endless and foreign metadata out, and what lets the owner in again after a theft."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

from attack.defence import Defence, answering

_HERE = "tests/attack/test_attack_metadata.py"
_AGENT = "tests/unit/test_agent_trust.py"
_TRUST = "tests/unit/test_contract_trust.py"
_ROOTS = "tests/attack/test_attack_roots.py"
_FAST_FORWARD = "tests/attack/test_attack_fast_forward.py"
_ENVELOPES = "tests/unit/test_contract_envelopes.py"
_READ_ROOTS = "tests/unit/test_contract_roots.py"
_UPDATER = "edgefleet_contract.trust.updater"
_ACCEPTANCE = "edgefleet_contract.trust.acceptance"


def _unchecked_floor(_original: Any) -> Any:
    return lambda floor, *_: floor


def _floor_as_found(_original: Any) -> Any:
    return lambda store: store.floor()


def _without_limits(original: Any) -> Any:
    lengths = ("timestamp", "snapshot", "targets")
    return dataclasses.replace(original, **{f"{name}_max_length": 1 << 40 for name in lengths})


def _whatever_model(original: Any) -> Any:
    """One security floor for all models."""

    def height(floor: Any, what: str, speakers: Any) -> int:
        if what.startswith("security/"):
            return max((value for key, value in floor.values.items() if key.startswith("security/")), default=0)
        return int(original(floor, what, speakers))

    return height


ROWS = (
    Defence(
        "rollback by a wiped metadata store and an old repository",
        "versions are floors in a file of their own, which survives the metadata",
        (
            f"{_HERE}::test_an_old_repository_is_refused_even_when_the_metadata_are_lost",
            f"{_HERE}::test_no_part_of_the_metadata_goes_back",
            f"{_AGENT}::test_an_old_repository_is_refused_though_the_metadata_were_wiped",
        ),
        {f"{_UPDATER}._raise_versions": _unchecked_floor},
    ),
    Defence(
        "rollback by a wiped floor",
        "the proof accepted last is a second witness, from which the floor is reckoned anew",
        (
            f"{_HERE}::test_a_lost_floor_is_reckoned_from_the_metadata",
            f"{_AGENT}::test_a_replay_is_refused_though_the_floor_was_wiped",
        ),
        {f"{_ACCEPTANCE}._standing_floor": _floor_as_found},
    ),
    Defence(
        "freeze: newer metadata are held back",
        "snapshot and timestamp live for seven days, the rest for a year, by the device's clock",
        (
            f"{_HERE}::test_a_freeze_ends_with_the_life_of_the_metadata",
            f"{_HERE}::test_expiry_goes_by_the_devices_clock_alone",
            f"{_AGENT}::test_metadata_held_back_past_their_life_are_refused",
        ),
        {"tuf.api.metadata.Signed.is_expired": answering(False)},
    ),
    Defence(
        "endless data: metadata without end",
        "every file, the number of files and of roots, and the whole proof have limits",
        (
            f"{_HERE}::test_endless_metadata_are_not_read_to_their_end",
            f"{_HERE}::test_an_endless_proof_and_endless_roots_cost_nothing",
        ),
        {f"{_UPDATER}._LIMITS": _without_limits},
    ),
    Defence(
        "arbitrary software: online keys sign a release",
        "a release needs the offline keys of its model's role, and a root those of the root before it",
        (
            f"{_HERE}::test_online_keys_cannot_release_anything",
            f"{_HERE}::test_the_keys_of_one_model_do_not_release_another",
            f"{_ROOTS}::test_a_root_needs_the_keys_of_the_one_before",
            f"{_ROOTS}::test_a_root_of_two_keys_needs_both",
            f"{_HERE}::test_a_role_lists_only_paths_of_its_model",
            f"{_HERE}::test_an_entry_that_speaks_of_another_bundle_is_refused",
            f"{_TRUST}::test_metadata_need_the_keys_of_their_own_role",
            f"{_TRUST}::test_a_bundle_that_nobody_released_is_refused",
            f"{_ENVELOPES}::test_a_threshold_counts_keys_not_signatures",
            f"{_AGENT}::test_a_release_by_a_strange_key_is_rejected",
            f"{_AGENT}::test_a_forged_proof_of_a_known_assignment_changes_nothing",
        ),
        {"tuf.api.metadata.Root.verify_delegate": answering(), "tuf.api.metadata.Targets.verify_delegate": answering()},
    ),
    Defence(
        "an abandoned root key signs another history",
        "the floor holds the hash of the newest root, and roots are followed one by one",
        (
            f"{_ROOTS}::test_an_abandoned_root_key_makes_no_other_history",
            f"{_ROOTS}::test_a_root_is_not_skipped",
            f"{_ROOTS}::test_a_device_that_missed_three_roots_follows_them",
            f"{_ROOTS}::test_an_old_root_is_refused_with_all_that_it_signed",
            f"{_READ_ROOTS}::test_a_root_whose_threshold_cannot_be_met_is_refused",
            f"{_READ_ROOTS}::test_a_pinned_root_that_was_altered_is_no_root",
            f"{_READ_ROOTS}::test_one_key_under_two_names_does_not_make_two",
            f"{_READ_ROOTS}::test_what_is_no_root_of_ours_is_refused",
        ),
        {f"{_UPDATER}._check_known": answering()},
    ),
    Defence(
        "fast-forward: a thief drives versions and sequences to the sky, to lock the owner out",
        "floors belong to keys, and fall with those that a root replaces",
        (
            f"{_FAST_FORWARD}::test_a_root_that_replaces_stolen_keys_lets_the_owner_in_again",
            f"{_FAST_FORWARD}::test_a_thiefs_sequence_falls_with_the_key_even_when_the_floor_is_lost",
            f"{_FAST_FORWARD}::test_only_the_floors_of_replaced_keys_fall",
            f"{_FAST_FORWARD}::test_a_key_added_lets_no_floor_fall",
            f"{_AGENT}::test_a_known_assignment_brings_a_root_that_replaces_stolen_keys",
        ),
        {"edgefleet_contract.trust.floors.KeySet.lives_on_in": answering(True)},
        ends_with="AssignmentReplayed",
    ),
    Defence(
        "a planned replacement of offline keys lets old, vulnerable releases come back",
        "what a device has confirmed, and the new keys still list, counts under the new keys",
        (f"{_FAST_FORWARD}::test_a_planned_replacement_of_targets_keys_lets_no_floor_fall",),
        {"edgefleet_contract.trust.acceptance._with_confirmed": lambda _original: lambda verified, _store: verified},
    ),
    Defence(
        "the thief of one model's keys raises the security floor, so that no model can be released any more",
        "each model has a security floor of its own, under the keys of its own role",
        (f"{_FAST_FORWARD}::test_the_thief_of_one_models_keys_raises_the_floor_of_that_model_alone",),
        {"edgefleet_contract.trust.history.height": _whatever_model},
        ends_with="SecurityFloorViolated",
    ),
    Defence(
        "a device that has nothing assigned goes on obeying a stolen key",
        "the newest root goes to every device at once, with an assignment or without",
        (
            "tests/integration/test_server_trust_cli.py::test_devices_without_an_assignment_follow_new_keys_too",
            f"{_AGENT}::test_a_root_that_comes_without_an_assignment_is_followed_and_nothing_else_happens",
            "tests/unit/test_server_trust.py::test_a_device_that_is_away_for_weeks_finds_metadata_that_have_not_expired",
        ),
        {
            "edgefleet_server.metadata_delivery.MetadataPublisher.publish_due": answering(),
            "support.server_runs.until": lambda original: partial(original, patience=3.0),
        },
    ),
    Defence(
        "a server with stolen keys downgrades devices without leave",
        "a permit by the offline targets keys names devices, bundle and expiry",
        (
            f"{_TRUST}::test_a_permit_for_something_else_permits_nothing",
            f"{_TRUST}::test_no_online_key_signs_a_permit",
            f"{_TRUST}::test_a_permit_does_not_lift_the_security_floor",
        ),
        {"edgefleet_contract.trust.history._check_permit": answering()},
    ),
)
