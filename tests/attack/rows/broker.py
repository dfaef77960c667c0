"""Who may speak and listen at the broker."""

from attack.defence import Defence

_BROKER = "tests/integration/test_server_broker.py"
_MESSAGES = "tests/unit/test_contract_messages.py"

ROWS = (
    Defence(
        "a wildcard in a device's name reaches the topics of others",
        "a topic is made for a device id only",
        (f"{_MESSAGES}::test_a_topic_is_not_made_for_what_is_no_device_id",),
        {"edgefleet_contract.identifiers.is_device_id": lambda _: lambda text: True},
    ),
)
