"""What makes a device believe, and what it remembers so that nothing old comes back."""

from attack.defence import Defence, answering

_AGENT = "tests/unit/test_agent_trust.py"

ROWS = (
    Defence(
        "rollback: an old assignment or bundle is replayed",
        "sequence floor, in a file of its own that survives the loss of every other",
        (
            f"{_AGENT}::test_a_replayed_assignment_is_refused",
            f"{_AGENT}::test_another_content_under_the_same_sequence_is_refused",
            f"{_AGENT}::test_a_floor_survives_the_loss_of_everything_else",
            f"{_AGENT}::test_the_known_assignment_come_again_is_no_news",
        ),
        {"edgefleet_contract.trust.acceptance._check_sequence": answering(False)},
    ),
    Defence(
        "an assignment for another device is sent to this one",
        "the signed assignment names its device and hardware",
        (f"{_AGENT}::test_an_assignment_for_another_device_is_refused",),
        {"edgefleet_contract.trust.acceptance._check_addressee": answering()},
    ),
)
