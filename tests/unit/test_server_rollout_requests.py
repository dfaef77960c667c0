"""Rollouts as they are asked for: verbs, groups, stages, and two that meet."""

from __future__ import annotations

import pytest

from edgefleet_contract.errors import Conflict, InputError, NotFound, UsageMalformed
from edgefleet_server.rollouts.models import Rollout
from support.server_state import Inside, SiteOfThree, roll_out_second
from support.tiny_bundles import tiny_bundle


@pytest.fixture
def site(inside: Inside) -> SiteOfThree:
    return SiteOfThree(inside)


def test_a_pause_holds_the_next_stage_back_and_resume_lets_it_go(site: SiteOfThree) -> None:
    inside, label = site.inside, roll_out_second(site.inside)
    inside.act("pause", label)
    [canary] = site.in_stage(label, 0)
    canary.confirms()
    inside.pass_time(45_000)
    canary.says("confirmed", evidence=[canary.evidence("probation", site.digest)])
    inside.pass_time(45_000)
    assert inside.states(label) == {"succeeded": 1, "waiting": 2}
    inside.act("resume", label)
    assert inside.states(label) == {"assigned": 2, "succeeded": 1}


@pytest.mark.parametrize(
    ("verb", "states"),
    [
        ("start", ("running", "paused", "halted", "aborted", "rolled_back", "finished")),
        ("pause", ("ready", "paused", "halted", "aborted", "rolled_back", "finished")),
        ("resume", ("ready", "running", "halted", "aborted", "rolled_back", "finished")),
        ("abort", ("halted", "aborted", "rolled_back", "finished")),
        ("rollback", ("ready", "halted", "rolled_back")),
    ],
)
def test_verbs_that_do_not_fit_the_state_are_refused(site: SiteOfThree, verb: str, states: tuple[str, ...]) -> None:
    inside = site.inside
    for state in states:
        with inside.database.write() as session:
            session.get_one(Rollout, 1).state = state
        with pytest.raises(Conflict, match=f"r1 is {state}"):
            inside.act(verb, site.first)


def test_two_rollouts_do_not_move_one_device(site: SiteOfThree) -> None:
    inside, label = site.inside, roll_out_second(site.inside)
    release = inside.push(tiny_bundle(inside.folder, "1.2.0"))
    with pytest.raises(Conflict, match=f"{label} of digits@1.1.0 is under way on devices in 'all'") as error:
        inside.roll_out(release)
    assert "r3" not in error.value.text(), "the one that was refused is gone, and has no name"
    with pytest.raises(Conflict, match="under way"):
        inside.act("rollback", site.first)
    inside.act("abort", label)
    inside.roll_out(release)


def test_a_new_rollout_takes_over_a_device_that_never_came_back(site: SiteOfThree) -> None:
    inside, label = site.inside, roll_out_second(site.inside)
    [canary] = site.in_stage(label, 0)
    canary.confirms(lost=20)  # and it stays away: its rollback is never confirmed
    newer = inside.roll_out(inside.push(tiny_bundle(inside.folder, "1.2.0")))
    inside.pass_time(0)
    assert inside.deployment(label, canary).state == "superseded"
    assert inside.rollout(label).undone_at is not None
    assert canary.assignment().rollout == newer


def test_hardware_without_a_bundle_is_skipped_and_does_not_count(inside: Inside) -> None:
    served, other = inside.device("x86-64"), inside.device("rpi4")
    label = inside.roll_out(inside.push())
    assert inside.deployment(label, other).state == "skipped"
    inside.settle(label, served)


def test_a_group_that_nothing_can_be_sent_to_is_refused(inside: Inside) -> None:
    release = inside.push()
    with pytest.raises(InputError, match="No device belongs to 'all'"):
        inside.roll_out(release)
    inside.device("rpi4")
    with pytest.raises(InputError, match="no bundle for rpi4"):
        inside.roll_out(release)
    assert inside.acts()[-1] == "device.enrolled", "nothing half-made is left behind"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"stages": ()}, UsageMalformed),
        ({"stages": (50.0, 30.0, 100.0)}, UsageMalformed),
        ({"stages": (0.0, 100.0)}, UsageMalformed),
        ({"stages": (50.0,)}, UsageMalformed),
        ({"stages": (50.0, 150.0)}, UsageMalformed),
        ({"success": 0.0}, UsageMalformed),
        ({"success": 1.1}, UsageMalformed),
        ({"error": 1.0}, UsageMalformed),
        ({"to": "no such=tag="}, UsageMalformed),
        ({"release": "digits"}, UsageMalformed),
        ({"release": "digits@9.9.9"}, NotFound),
        ({"vectors_sha256": "0" * 64}, NotFound),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    inside: Inside, changed: dict[str, object], error: type[Exception]
) -> None:
    inside.device()
    release = inside.push()
    with pytest.raises(error):
        inside.roll_out(**{"release": release, **changed})


def test_stages_that_would_be_empty_are_left_out(inside: Inside) -> None:
    inside.device()
    label = inside.roll_out(inside.push(), stages=(10.0, 50.0, 100.0))
    assert [(stage.percent, stage.devices) for stage in inside.rollout(label).stages] == [(10.0, 1)]


def test_groups_are_tags(inside: Inside) -> None:
    canary, south = inside.device(group="canary"), inside.device(site="south")
    first = inside.roll_out(inside.push(), to="canary")
    assert inside.deployment(first, canary).state == "assigned"
    second_label = inside.roll_out("digits@1.0.0", to="site=south")
    assert inside.deployment(second_label, south).state == "assigned"
    assert inside.states(second_label) == {"assigned": 1}


def test_the_canaries_of_two_rollouts_need_not_be_the_same(inside: Inside) -> None:
    devices = [inside.device() for _ in range(20)]
    release = inside.push()
    chosen = []
    for _ in range(4):
        label = inside.roll_out(release, stages=(5.0, 100.0))
        chosen += [device.id for device in devices if inside.deployment(label, device).stage == 0]
        inside.act("abort", label)
    assert len(set(chosen)) > 1
