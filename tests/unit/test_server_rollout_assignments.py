"""The assignments that rollouts give: their order, their life, what they say."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from edgefleet_server.clock import DAY
from edgefleet_server.devices.models import Device
from edgefleet_server.rollouts.assignments import ASSIGNMENT_LIFE
from edgefleet_server.rollouts.models import Assignment
from support.server_state import NOON, Inside, SiteOfThree, roll_out_second
from support.tiny_bundles import tiny_vectors


@pytest.fixture
def site(inside: Inside) -> SiteOfThree:
    return SiteOfThree(inside)


def test_sequences_rise_above_clock_database_and_device(inside: Inside) -> None:
    device = inside.device()
    label = inside.roll_out(inside.push())
    first = device.assignment().sequence
    assert first == NOON // 1000
    device.says("downloading", sequence=first + 5000)  # a restored server has forgotten what it assigned
    assert inside.engine.renew_assignments()
    assert device.assignment().sequence == first + 5001
    assert inside.deployment(label, device).sequence == first + 5001
    assert not inside.engine.renew_assignments()


def test_assignments_are_renewed_before_they_expire(inside: Inside) -> None:
    device = inside.device()
    inside.roll_out(inside.push())
    first = device.assignment()
    assert first.expires == NOON + ASSIGNMENT_LIFE
    inside.clock.turn(ASSIGNMENT_LIFE - 11 * DAY)
    assert not inside.engine.renew_assignments()
    inside.clock.turn(2 * DAY)
    assert inside.engine.renew_assignments()
    renewed = device.assignment()
    assert renewed.digest == first.digest
    assert renewed.sequence > first.sequence
    assert renewed.expires == inside.clock() + ASSIGNMENT_LIFE
    device.confirms()
    inside.clock.turn(ASSIGNMENT_LIFE)
    assert not inside.engine.renew_assignments(), "a confirmed device needs none"


def test_an_assignment_says_what_the_device_needs(site: SiteOfThree) -> None:
    label = roll_out_second(site.inside, probation_ms=5000)
    [canary] = site.in_stage(label, 0)
    assignment = canary.assignment()
    assert assignment.device == canary.id
    assert assignment.hardware == "x86-64"
    assert assignment.rollout == label
    assert assignment.probation_ms == 5000
    assert assignment.vectors is not None
    assert assignment.vectors.bytes == len(tiny_vectors("1.0.0"))


def test_every_sequence_a_device_was_given_is_kept(site: SiteOfThree) -> None:
    label = roll_out_second(site.inside)
    [canary] = site.in_stage(label, 0)
    canary.confirms(lost=20)
    with site.inside.database.read() as session:
        kept = select(Assignment).where(Assignment.device_id == canary.id).order_by(Assignment.sequence)
        history = session.scalars(kept).all()
        assert [assignment.purpose for assignment in history] == ["deploy", "deploy", "rollback"]
        assert history[-1].sequence == session.get_one(Device, canary.id).sequence
