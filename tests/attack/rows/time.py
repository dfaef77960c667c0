"""Who plays with a device's clock, its acknowledgements and its connection, as its broker or with stolen keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from attack.defence import Defence, answering, value
from edgefleet_contract import dsse, messages

_TIME = "tests/attack/test_attack_time.py"
_TLS = "tests/attack/test_attack_tls.py"
_HOSTILE = "tests/attack/test_attack_hostile_broker.py"
_FUTURE = "tests/attack/test_attack_future.py"
_CLOCK = "tests/unit/test_agent_clock.py"


def _unverified(_original: Callable[..., Any]) -> Callable[..., Any]:
    """Whatever an envelope holds, by whomever, for whomever."""

    def opened(envelope: bytes, kind: Any, _device: str, _trusted: object) -> Any:
        try:
            payload = dsse.unverified_payload(msgspec.json.decode(envelope, type=dsse.Envelope))
        except msgspec.DecodeError:
            payload = envelope
        return messages.decode(payload, kind)

    return opened


def _by_the_system_clock(original: Any) -> Any:
    """A renewal that is told what the system clock says."""

    def start(command: list[str], **options: Any) -> Any:
        return original([*command[:-1], str(time.time_ns() // 1_000_000)], **options)

    return start


ROWS = (
    Defence(
        "a broker forges acknowledgements, so that telemetry is lost",
        "acknowledgements are signed by the assignment key, for one device, one life of the agent and one number",
        ("tests/attack/test_attack_acks.py::test_a_forged_acknowledgement_makes_a_device_forget_nothing",),
        {"edgefleet_contract.messages.open_order": _unverified},
    ),
    Defence(
        "a broker forges the time",
        "time is signed by the assignment key",
        (
            f"{_TIME}::test_a_time_that_another_key_signed_is_dropped",
            "tests/attack/test_attack_time.py::test_days_without_a_network_are_nobodys_attack",
        ),
        {"edgefleet_contract.messages.open_order": _unverified},
    ),
    Defence(
        "a broker replays or holds back signed time",
        "only the answer to the last question's nonce counts, once, within 30 s",
        (
            f"{_TIME}::test_an_answer_is_good_once_and_not_for_long",
            f"{_TIME}::test_a_time_for_another_question_or_another_device_is_dropped",
        ),
        {
            "edgefleet_agent.timekeeping.Timekeeper.answered": lambda _original: (
                lambda keeper, told: keeper._clock.offer(told.now)
            )
        },
    ),
    Defence(
        "a thief of the assignment key sends devices into a future in which everything has expired (fast-forward)",
        "a jump of more than five days is held until the operator confirms it on the device, or an offline key does",
        (
            f"{_TIME}::test_a_stolen_assignment_key_makes_nothing_expire",
            f"{_CLOCK}::test_a_thief_of_the_assignment_key_sends_no_device_into_the_future",
        ),
        {"edgefleet_agent.clock.AHEAD_MS": value(1 << 60)},
    ),
    Defence(
        "a thief of the assignment key gains five days at each start of the agent",
        "the five days count from what the device accounts for itself, over all its starts together",
        (
            f"{_FUTURE}::test_starts_give_a_thief_of_the_assignment_key_no_more_than_one",
            f"{_CLOCK}::test_a_thief_of_the_assignment_key_walks_no_further_when_the_agent_starts_again",
        ),
        {
            "edgefleet_agent.clock.TrustedClock._accounted_ms": lambda original: (
                lambda clock: max(original(clock), clock._since(clock._adopted))
            )
        },
    ),
    Defence(
        "a device that was sent into the future finds the metadata expired that take the stolen key away",
        "what a key said of the time falls with the key, before anything is judged by it",
        (
            f"{_FUTURE}::test_a_root_gives_the_time_back_that_a_stolen_assignment_key_took",
            f"{_CLOCK}::test_what_a_stolen_key_said_of_the_time_goes_with_the_key",
            f"{_FUTURE}::test_metadata_are_judged_by_the_last_day_there_is",
        ),
        {"edgefleet_contract.trust.acceptance._judged_at": lambda _original: lambda time, _floor, _root: time},
        ends_with="MetadataExpired",
    ),
    Defence(
        "a wrong clock at the publisher, or the thief of one model's keys, releases in the future",
        "no release of a time more than a day ahead, at the server nor on a device; none moves a clock by itself",
        (
            f"{_FUTURE}::test_a_release_of_a_time_that_has_not_come_is_refused",
            f"{_FUTURE}::test_a_release_by_a_clock_a_little_ahead_moves_no_clock",
            f"{_CLOCK}::test_a_release_that_says_it_comes_from_the_future_moves_no_clock",
            "tests/unit/test_server_trust.py::test_a_release_by_a_clock_that_runs_ahead_is_not_taken",
        ),
        {
            "edgefleet_contract.trust.history.check_issued": answering(),
            "edgefleet_server.trust.service.check_issued": answering(),
        },
    ),
    Defence(
        "a false network time at a start makes a device reject what it was assigned, as expired",
        "while the server has not signed the time, what seems out of date is tried again, and not rejected",
        ("tests/attack/test_attack_boot_clock.py::test_a_wrong_system_clock_at_a_start_rejects_nothing_for_good",),
        {
            "edgefleet_agent.judgement.may_be_the_clocks": answering(False),
            "edgefleet_agent.daemon.may_be_the_clocks": answering(False),
        },
    ),
    Defence(
        "an old time brings expired statements back, also to a board that starts in 1970",
        "a durable time floor: build time, and what was signed last",
        (
            f"{_TIME}::test_time_does_not_go_back_behind_what_was_signed",
            f"{_CLOCK}::test_a_time_below_the_floor_is_refused",
            f"{_CLOCK}::test_a_board_that_starts_in_1970_goes_by_what_it_knows_has_passed",
        ),
        {
            "edgefleet_agent.trust_store.DurableTrustStore.time_floor": answering(0),
            "edgefleet_agent.clock.BUILT_MS": value(0),
        },
    ),
    Defence(
        "a broker drops what the server sends (drop, freeze)",
        "a connected device that hears no signed time for two days reports itself stale; the server opens an alert",
        (
            f"{_TIME}::test_a_broker_that_drops_the_servers_time_is_noticed",
            "tests/unit/test_server_time.py::test_a_device_that_the_server_does_not_reach_is_an_alert_until_it_does",
            "tests/unit/test_server_time.py::test_questions_in_anothers_name_and_without_a_nonce_are_refused",
        ),
        {"edgefleet_agent.timekeeping.Timekeeper.is_stale": value(False)},
    ),
    Defence(
        "one device asks for the time without end",
        "one answer in five seconds to each device",
        (
            "tests/unit/test_server_time.py::test_a_device_that_asks_without_end_is_answered_seldom_and_others_all_the_same",
        ),
        {"edgefleet_server.time.answers.ANSWER_EVERY": value(0)},
    ),
    Defence(
        "a stranger stands in for the broker, with a certificate that has expired, or is another's",
        "TLS 1.2 at least, the fleet's authority alone, the name that was called; expiry by the trusted clock",
        (
            f"{_TLS}::test_a_broker_whose_certificate_has_expired_hears_nothing",
            "tests/attack/test_attack_tls.py::test_the_right_broker_hears_the_devices_name",
            "tests/attack/test_attack_tls.py::test_a_board_that_lives_in_1970_takes_a_certificate_that_is_not_yet_valid",
            f"{_TLS}::test_a_broker_of_another_authority_hears_nothing",
            f"{_TLS}::test_a_broker_of_another_name_hears_nothing",
            f"{_TLS}::test_a_broker_that_speaks_an_old_tls_hears_nothing",
        ),
        {"edgefleet_agent.tls.check_in_date": answering()},
    ),
    Defence(
        "a hostile broker floods a device (denial of service, slow retrieval)",
        "what waits is bounded by topic; garbage and forgeries are dropped unread",
        (
            "tests/unit/test_agent_inbox.py::test_a_flood_leaves_only_the_newest_of_each_topic_waiting",
            f"{_HOSTILE}::test_a_flood_costs_no_memory_and_no_disk",
            f"{_HOSTILE}::test_garbage_and_forgeries_change_nothing_and_the_agent_goes_on",
        ),
        {"edgefleet_agent.inbox._ROOM": dict.fromkeys},
    ),
    Defence(
        "the certificate of a server that was stolen long ago, while the device's system clock lags",
        "a renewal judges the server by the time that the agent trusts",
        ("tests/attack/test_attack_expired_server.py::test_a_renewal_judges_the_server_by_the_trusted_time",),
        {"subprocess.Popen": _by_the_system_clock},
    ),
    Defence(
        "a hostile broker sends packets of 256 MB (endless data)",
        "the agent hangs up before it reads a packet that no message of ours can be",
        (f"{_HOSTILE}::test_a_giant_is_not_taken_into_memory",),
        {"edgefleet_agent.transport._PACKET_LIMIT": value(1 << 40)},
    ),
)
