"""The publisher's keys: what a stolen server cannot do."""

from typing import Any

from attack.defence import Defence, answering

_SERVER = "tests/attack/test_attack_stolen_server.py"
_FILES = "tests/attack/test_attack_foreign_keys.py"
_STOLEN = "tests/attack/test_attack_stolen_publisher.py"
_TRUST = "tests/unit/test_server_trust.py"


def _beside_the_old(original: Any) -> Any:
    """In place of a delegation to new keys: one to the old ones as well."""

    def delegate(targets: Any, name: str, keys: Any, threshold: int) -> None:
        present = targets.delegations.roles.get(name)
        old = [targets.delegations.keys[key_id] for key_id in present.keyids] if present else []
        original(targets, name, [*old, *keys], threshold)

    return delegate


ROWS = (
    Defence(
        "a thief of the server, with all its keys, signs releases",
        "models' roles are signed by keys that no server has; operator, server and device verify with the same rules",
        (
            f"{_SERVER}::test_a_hostile_server_cannot_have_the_operator_sign_over_its_own_metadata",
            f"{_SERVER}::test_a_thief_of_the_server_cannot_make_a_device_run_what_was_not_released",
            f"{_SERVER}::test_the_server_takes_no_release_that_its_own_key_signed",
            f"{_SERVER}::test_a_root_takes_all_power_from_a_thief_of_the_server_and_locks_nobody_out",
        ),
        {"edgefleet_server.trust.repository._verify": answering()},
    ),
    Defence(
        "a hostile server gives the operator old metadata to build on",
        "the operator's machine keeps a copy of its own, and takes nothing older",
        (f"{_SERVER}::test_a_hostile_server_cannot_have_the_operator_build_on_old_metadata",),
        {"edgefleet_server.trust.repository._check_newer": answering()},
    ),
    Defence(
        "an old release with a known hole is rolled out again",
        "what is older than confirmed needs a permit by the targets keys, for these devices and for a time",
        (f"{_TRUST}::test_a_downgrade_needs_a_permit_of_the_targets_keys",),
        {"edgefleet_server.trust.permits.needed": answering([])},
    ),
    Defence(
        "one person passes for two, by a public key under two ids",
        "a public key's id is reckoned from the key, and nothing else may stand beside it",
        (f"{_FILES}::test_one_key_under_two_ids_is_not_two_keys",),
        {"edgefleet_server.publisher.public_keys._is_itself": answering(True)},
    ),
    Defence(
        "a half-signed trust root with a foreign key is planted where the owner begins theirs",
        "a file is completed only if it names the keys and thresholds that were settled here, and this server",
        (f"{_FILES}::test_a_planted_trust_root_is_not_completed_by_who_begins_another",),
        {"edgefleet_server.publisher.draft.Draft.says_as": answering(True)},
    ),
    Defence(
        "a thief of the targets key has pushed a release before its owner knew",
        "the owner rotates and withdraws it: its rollouts end, nobody can assign it again, and devices refuse it",
        (
            f"{_STOLEN}::test_what_a_thief_of_the_targets_key_has_pushed_is_withdrawn_and_runs_nowhere",
            f"{_STOLEN}::test_devices_that_run_a_withdrawn_release_are_named_until_they_run_another",
            f"{_STOLEN}::test_a_device_takes_no_withdrawn_release_whoever_assigns_it",
            f"{_STOLEN}::test_a_device_never_goes_back_to_a_withdrawn_release",
        ),
        {"edgefleet_server.releases.withdrawals.follow": answering()},
    ),
    Defence(
        "a thief has the key of one model, and releases of it go on to be signed by whatever key was ever made for it",
        "`key rotate model/NAME` delegates to fresh keys alone, and no push brings others back",
        (f"{_STOLEN}::test_a_stolen_key_of_one_model_is_replaced_and_signs_nothing_more",),
        {"edgefleet_server.publisher.drafts._delegate": _beside_the_old},
    ),
    Defence(
        "part of a release is taken away, or changed",
        "a version is withdrawn whole; what stays of it stays as it was signed",
        (f"{_STOLEN}::test_a_release_is_withdrawn_whole_or_not_at_all",),
        {"edgefleet_server.trust.repository._check_history": answering()},
    ),
)
