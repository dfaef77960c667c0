"""What one device may do to the server, to the others and to the figures of the fleet."""

from __future__ import annotations

from attack.defence import Defence, answering

_SKETCHES = "tests/unit/test_contract_sketches.py"

ROWS = (
    Defence(
        "a sketch that cannot be (bomb, negative counts, sums that lie)",
        "bounded bins; every sketch is held against its reference before it is merged",
        (
            f"{_SKETCHES}::test_a_sketch_that_cannot_be_is_refused",
            f"{_SKETCHES}::test_a_reference_with_impossible_bins_is_refused",
        ),
        {"edgefleet_contract.sketches.check_sketch": answering()},
    ),
    Defence(
        "garbage in place of a message (endless data, deep nesting, other types)",
        "size limit before parsing, typed decoding, one message never spoils another",
        ("tests/unit/test_contract_messages.py::test_garbage_is_a_malformed_message",),
        {"edgefleet_contract.canonical.decode": answering(type("Message", (), {"v": 1})())},
    ),
    Defence(
        "what a device says of itself is a command to the operator's terminal",
        "control characters and markup are shown as text",
        ("tests/integration/test_server_cli.py::test_what_a_device_says_is_no_command_to_the_terminal",),
        {
            "edgefleet_server.cli.output.text": lambda _: (
                lambda told, style="": __import__("rich.text").text.Text.from_markup(str(told))
            )
        },
    ),
)
