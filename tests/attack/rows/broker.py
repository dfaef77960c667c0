"""Who may speak and listen at the broker."""

from __future__ import annotations

from attack.defence import Defence, answering

_BROKER = "tests/integration/test_server_broker.py"
_MESSAGES = "tests/unit/test_contract_messages.py"
_EVERYTHING = "topic readwrite #\npattern readwrite #\n"


ROWS = (
    Defence(
        "a stranger connects to the broker",
        "mutual TLS with the fleet's own authority; a listener's certificate is no client's",
        (
            f"{_BROKER}::test_without_a_certificate_of_ours_nobody_gets_in",
            f"{_BROKER}::test_a_listeners_certificate_is_no_clients",
        ),
        {
            "edgefleet_server.broker.mosquitto._configuration": lambda original: (
                lambda settings: (
                    original(settings)
                    .replace("require_certificate true", "require_certificate false")
                    .replace("use_identity_as_username true\n", "")
                    .replace("use_username_as_clientid true\n", "")
                    .replace("allow_anonymous false", "allow_anonymous true")
                )
            )
        },
    ),
    Defence(
        "one device speaks for another, or listens to it (eavesdropping)",
        "access rules for each device's own topics, by the subject of its certificate",
        (
            f"{_BROKER}::test_a_device_cannot_speak_for_others",
            f"{_BROKER}::test_a_device_cannot_listen_to_others",
            f"{_BROKER}::test_what_is_retained_for_one_device_is_not_given_to_another_that_returns",
        ),
        {"edgefleet_server.broker.mosquitto.mosquitto_acl": answering(_EVERYTHING)},
    ),
    Defence(
        "one device takes another's session by naming its client id",
        "client id = certificate subject",
        (f"{_BROKER}::test_naming_another_client_id_takes_nothing_from_it",),
        {
            "edgefleet_server.broker.mosquitto._configuration": lambda original: (
                lambda settings: original(settings).replace("use_username_as_clientid true\n", "")
            ),
            "edgefleet_server.broker.mosquitto.mosquitto_acl": answering(_EVERYTHING),
        },
    ),
    Defence(
        "a wildcard in a device's name reaches the topics of others",
        "a topic is made for a device id only, and parsed as one",
        (
            f"{_MESSAGES}::test_a_topic_is_not_made_for_what_is_no_device_id",
            f"{_MESSAGES}::test_other_topics_are_none_of_ours",
        ),
        {"edgefleet_contract.identifiers.is_device_id": answering(True)},
    ),
)
