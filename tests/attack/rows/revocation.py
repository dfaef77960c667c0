"""Who was in and must be out: revoked devices at the broker."""

from __future__ import annotations

from functools import partial

from attack.defence import Defence, answering

_REVOCATION = "tests/integration/test_server_revocation.py"

ROWS = (
    Defence(
        "a stolen or cloned device stays connected after it was revoked",
        "once the broker has read the revocation list, a takeover through a socket of mode 0600 ends its session",
        (
            f"{_REVOCATION}::test_a_device_may_come_back_with_another_certificate_and_finds_nothing_of_the_old_session",
            "tests/integration/test_server_revocation.py::test_the_last_will_of_a_kicked_device_reaches_its_own_topics_only",
            "tests/integration/test_server_revocation.py::test_the_broker_speaks_tls_from_1_2_on",
            "tests/integration/test_server_revocation.py::test_a_list_stays_as_it_is_while_it_is_right_and_is_written_again_long_before_it_ends",
            "tests/integration/test_server_revocation.py::test_a_deep_data_folder_has_room_for_the_door",
            f"{_REVOCATION}::test_a_revoked_device_is_thrown_out_and_stays_out_and_the_others_notice_nothing",
            f"{_REVOCATION}::test_a_device_that_is_revoked_by_the_operator_is_out_at_once",
            f"{_REVOCATION}::test_the_door_for_kicks_is_the_owners_alone_and_leads_to_no_topic",
        ),
        {
            "edgefleet_server.broker.revocation.kick": answering(True),
            "support.server_runs.until": lambda original: partial(original, patience=3.0),
        },
    ),
    Defence(
        "a revoked device connects again, or resumes its TLS session",
        "revocation list at the broker, proved to be read by a probe that it must refuse",
        (
            f"{_REVOCATION}::test_a_resumed_tls_session_does_not_outlive_the_revocation",
            f"{_REVOCATION}::test_a_broker_that_was_killed_starts_with_the_newest_list",
            f"{_REVOCATION}::test_a_mosquitto_elsewhere_is_set_up_reloaded_and_kicked_as_the_guide_says",
        ),
        {
            "edgefleet_server.authority.Authority.crl": lambda original: lambda self, _revoked: original(self, []),
            "edgefleet_server.broker.revocation.Revocations._reloaded": answering(True),
        },
    ),
    Defence(
        "a list that the broker never read is taken for enforced",
        "the broker must refuse a probe made for that very list",
        (
            f"{_REVOCATION}::test_a_list_that_the_broker_does_not_read_is_told",
            f"{_REVOCATION}::test_a_list_that_the_broker_does_not_read_for_long_opens_an_alert_until_it_does",
        ),
        {"edgefleet_server.broker.revocation.Revocations.is_enforced": answering(True)},
    ),
)
