"""What one device may do to the server, to the others and to the figures of the fleet."""

from __future__ import annotations

from typing import Any

from attack.defence import Defence, answering, value

_SKETCHES = "tests/unit/test_contract_sketches.py"
_GIANTS = "tests/attack/test_attack_server_connection.py"
_FLOOD = "tests/attack/test_attack_flood.py"
_NUMBERS = "tests/attack/test_attack_numbers.py"


def _everybodys_sketches(_original: Any) -> Any:
    """The inputs of all devices together, as one distribution."""

    def hours(session: Any, _device: str, digest: str, since_hour: int) -> Any:
        from sqlalchemy import select

        from edgefleet_contract import sketches
        from edgefleet_server.telemetry import models, service

        query = select(models.SketchHour.sketch).where(
            models.SketchHour.digest == digest, models.SketchHour.hour >= since_hour
        )
        return sketches.merge([service._decode(data) for data in session.scalars(query)])

    return hours


def _as_markup(_original: Any) -> Any:
    """What a device says, with whatever it tells the terminal to do."""

    def text(told: object, style: str = "") -> Any:
        from rich.text import Text

        return Text.from_markup(str(told), style=style)

    return text


ROWS = (
    Defence(
        "denial of service: one device floods the server",
        "a share of messages and bytes for each device, an alert, packet and queue limits at the broker",
        (
            f"{_FLOOD}::test_a_device_that_floods_costs_the_others_nothing",
            f"{_FLOOD}::test_large_messages_use_the_share_up_sooner",
        ),
        {"edgefleet_server.quota.Quota.takes": answering(True)},
    ),
    Defence(
        "denial of service: a flood while the disk is full or the database locked ends what takes messages",
        "an alert that cannot be written waits, and the thread goes on after whatever it met; /healthz looks at it",
        (
            f"{_FLOOD}::test_a_flood_while_the_database_is_locked_silences_nobody",
            f"{_FLOOD}::test_whatever_befalls_the_ingest_devices_are_heard_again",
        ),
        {"edgefleet_server.admission.OperationalError": value(ZeroDivisionError)},
        ends_with="OperationalError",
    ),
    Defence(
        "a hostile broker fills the server's memory with packets of 256 MB, or with more than it can take",
        "the server hangs up before it reads such a packet, and holds so many messages and no more",
        (
            f"{_GIANTS}::test_the_server_hangs_up_on_a_packet_that_no_device_can_send",
            f"{_GIANTS}::test_the_server_holds_no_more_messages_than_it_can",
        ),
        {"edgefleet_server.mqtt._PACKET_LIMIT": value(1 << 40)},
    ),
    Defence(
        "one device lies about its inputs, so that the fleet seems to drift, or not to",
        "each device is held against its bundle's reference alone; no verdict mixes devices",
        (f"{_FLOOD}::test_a_device_that_lies_about_its_inputs_is_judged_alone",),
        {"edgefleet_server.telemetry.service.hours": _everybodys_sketches},
    ),
    Defence(
        "one device lies about a release, so that its rollout is halted",
        "one device is one voice, whatever its evidence counts; shares are judged over ten or more",
        (f"{_FLOOD}::test_a_device_that_lies_about_a_release_has_one_voice",),
        {"edgefleet_server.rollouts.policy.MIN_EXECUTED": value(1)},
    ),
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
        "numbers beyond all counting in a report, so that a database or a sum over devices fails for all",
        "whole numbers end at 2^53 - 1, those of a window at 2^32; one that does not fit is refused with its message",
        (
            f"{_NUMBERS}::test_counts_beyond_all_sums_are_refused_and_the_console_still_shows_the_others",
            f"{_NUMBERS}::test_sketches_beyond_all_sums_are_refused_and_other_devices_are_still_compared",
            f"{_NUMBERS}::test_a_report_beyond_all_counting_changes_nothing",
            f"{_NUMBERS}::test_an_assignment_beyond_all_counting_is_refused",
            f"{_NUMBERS}::test_an_honest_device_is_heard_however_wrong_the_servers_clock_once_was",
        ),
        {"edgefleet_server.claims._WINDOW_LIMIT": value(1 << 60)},
        ends_with="OperationalError",
    ),
    Defence(
        "a thief of the assignment key, or a device that lies, drives sequences ahead for good",
        "sequences belong to keys at the server too: they start anew once the root no longer names the old key",
        (
            f"{_NUMBERS}::test_sequences_driven_ahead_end_with_the_key_that_a_thief_had",
            f"{_NUMBERS}::test_sequences_do_not_fall_while_the_root_names_their_key",
        ),
        {"edgefleet_server.rollouts.assignments._told_since": lambda _original: lambda twin, _last: twin.sequence},
    ),
    Defence(
        "garbage in place of a message (deep nesting, other types, megabytes)",
        "size limit before parsing, typed decoding; one message never spoils another",
        ("tests/unit/test_contract_messages.py::test_garbage_is_a_malformed_message",),
        {"edgefleet_contract.canonical.decode": answering(type("Message", (), {"v": 1})())},
    ),
    Defence(
        "what a device says of itself is a command to the operator's terminal",
        "control characters and markup are shown as text",
        ("tests/integration/test_server_cli.py::test_what_a_device_says_is_no_command_to_the_terminal",),
        {"edgefleet_server.cli.output.text": _as_markup},
    ),
)
