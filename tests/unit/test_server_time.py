"""The server tells the time, signed, and hears from devices that it does not reach."""

from __future__ import annotations

import pytest

from edgefleet_contract import messages, topics
from edgefleet_contract.messages import SignedTime, TimeRequest
from edgefleet_contract.trust.repository import read_root
from edgefleet_server.alerts import service as alerts
from edgefleet_server.mqtt import Incoming
from edgefleet_server.time.answers import ANSWER_EVERY, TimeAnswers
from edgefleet_server.trust.sealing import Sealing
from support.server_state import Inside, StandIn


def question(device: StandIn, nonce: str = "n-1", claimed: str | None = None) -> Incoming:
    request = TimeRequest(1, claimed or device.id, nonce, device.boot, 1)
    return Incoming(topics.of(topics.TIME_REQUEST, device.id), messages.encode(request), 1, 1)


def test_an_answer_repeats_the_nonce_and_is_signed_by_the_assignment_key(inside: Inside) -> None:
    device = inside.device()
    (request,) = inside.ingest.store([question(device)]).time_asked
    answer = TimeAnswers(inside.clock).answer(request, Sealing(inside.database, inside.online_keys)())
    assert answer is not None
    root = inside.publisher.repository().roots[-1]
    told = messages.open_order(answer, SignedTime, device.id, read_root(root).assignment.keys)
    assert told == SignedTime(1, device.id, "n-1", inside.clock())


@pytest.mark.attack
def test_a_device_that_asks_without_end_is_answered_seldom_and_others_all_the_same(inside: Inside) -> None:
    answers, seal = TimeAnswers(inside.clock), Sealing(inside.database, inside.online_keys)()
    asked = [TimeRequest(1, device, str(n), "boot", n) for n in range(1, 100) for device in ("greedy", f"d-{n}")]
    answered = [request.device for request in asked if answers.answer(request, seal) is not None]
    assert answered.count("greedy") == 1
    assert len(answered) == 100
    inside.clock.now += ANSWER_EVERY
    assert answers.answer(TimeRequest(1, "greedy", "again", "boot", 100), seal) is not None


@pytest.mark.attack
def test_questions_in_anothers_name_and_without_a_nonce_are_refused(inside: Inside) -> None:
    device, other = inside.device(), inside.device()
    for bad in (question(device, claimed=other.id), question(device, nonce=""), question(device, nonce="x" * 65)):
        assert inside.ingest.store([bad]).time_asked == []


@pytest.mark.attack
def test_a_device_that_the_server_does_not_reach_is_an_alert_until_it_does(inside: Inside) -> None:
    device = inside.device()

    def open_alerts() -> list[tuple[str, str | None]]:
        with inside.database.read() as session:
            return [(alert.kind, alert.device_id) for alert in alerts.alerts(session, everything=False)]

    device.says("idle", stale=True, sequence=0)
    assert open_alerts() == [("stale", device.id)]
    device.says("idle", sequence=0)
    assert open_alerts() == []
