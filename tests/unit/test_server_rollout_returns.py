"""Devices that go back: halts, rollbacks, aborts, and who cannot."""

from __future__ import annotations

import pytest

from edgefleet_server.alerts import service as alerts
from support.server_state import Inside, SiteOfThree, roll_out_second


@pytest.fixture
def site(inside: Inside) -> SiteOfThree:
    return SiteOfThree(inside)


def test_worse_evidence_halts_and_rolls_back_in_that_order(site: SiteOfThree) -> None:
    inside, label = site.inside, roll_out_second(site.inside)
    [canary] = site.in_stage(label, 0)
    before = canary.assignment().sequence
    canary.confirms(lost=20)
    assert inside.rollout(label).state == "halted"
    assert inside.states(label) == {"rolling_back": 1, "withdrawn": 2}
    back = canary.assignment()
    assert (back.digest, back.vectors, back.probation_ms) == (site.digest, None, 0)
    assert back.sequence > before
    canary.confirms()
    assert inside.states(label) == {"rolled_back": 1, "withdrawn": 2}
    assert inside.rollout(label).undone_at == inside.clock()
    story = [act for act in inside.acts(label)[2:] if act != "deployment.withdrawn"]
    assert story == [
        "stage.started", "deployment.assigned", "deployment.confirmed", "deployment.evidence", "deployment.failed",
        "rollout.halted", "alert.opened", "deployment.rollback_assigned", "deployment.rolled_back", "rollout.undone",
    ]  # fmt: skip
    reason = inside.rollout(label).reason
    assert reason is not None
    assert canary.id in reason
    assert "loss 10.0%" in reason


def test_a_device_that_fails_within_the_threshold_goes_back_alone(site: SiteOfThree) -> None:
    inside = site.inside
    label = roll_out_second(inside, stages=(100.0,), success=0.6, error=0.4)
    bad, *good = site.devices
    before = bad.assignment().sequence
    bad.confirms(lost=20)
    assert inside.rollout(label).state == "running"
    assert inside.deployment(label, bad).state == "rolling_back"
    assert (bad.assignment().digest, bad.assignment().sequence > before) == (site.digest, True)
    for device in good:
        device.confirms(phases=("probation",))
    inside.pass_time(45_000)
    for device in good:
        device.says("confirmed", evidence=[device.evidence("probation", site.digest)])
    inside.pass_time(45_000)
    assert inside.rollout(label).state == "finished", "a device on its way back has failed, and holds nobody up"
    bad.confirms()
    assert inside.states(label) == {"rolled_back": 1, "succeeded": 2}
    assert inside.deployment(label, bad).error_code == "evidence.worse"


def test_a_failure_that_has_gone_back_still_counts_as_one(site: SiteOfThree) -> None:
    inside = site.inside
    label = roll_out_second(inside, stages=(100.0,), success=0.6, error=0.4)
    first, then, _ = site.devices
    first.confirms(lost=20)
    first.confirms()
    assert inside.deployment(label, first).state == "rolled_back"
    then.confirms(lost=20)
    assert inside.rollout(label).state == "halted"
    assert "2 of 2 executed deployments" in (inside.rollout(label).reason or "")


def test_devices_that_were_never_assigned_are_not_touched_by_a_halt(site: SiteOfThree) -> None:
    label = roll_out_second(site.inside)
    others = site.in_stage(label, 1)
    before = [device.assignment() for device in others]
    site.in_stage(label, 0)[0].fails()
    assert [device.assignment() for device in others] == before


def test_a_device_that_reverts_by_itself_needs_no_rollback(site: SiteOfThree) -> None:
    inside, label = site.inside, roll_out_second(site.inside)
    site.in_stage(label, 0)[0].fails("reverted")
    assert inside.rollout(label).state == "halted"
    assert inside.states(label) == {"failed": 1, "withdrawn": 2}
    assert inside.rollout(label).undone_at is not None


def test_a_trial_is_not_cut_short_by_a_halt(site: SiteOfThree) -> None:
    inside = site.inside
    label = roll_out_second(inside, stages=(100.0,))
    bad, trying, downloading = site.devices
    trying.says("trial")
    downloading.says("downloading")
    trial = trying.assignment()
    bad.fails()
    assert inside.states(label) == {"failed": 1, "trial": 1, "withdrawn": 1}
    assert trying.assignment() == trial
    assert downloading.assignment().digest is None
    trying.confirms()
    assert inside.states(label) == {"failed": 1, "rolling_back": 1, "withdrawn": 1}
    trying.confirms()
    assert inside.states(label) == {"failed": 1, "rolled_back": 1, "withdrawn": 1}
    assert inside.rollout(label).undone_at is not None


def test_a_confirmation_that_crossed_the_withdrawal_is_rolled_back(site: SiteOfThree) -> None:
    inside = site.inside
    label = roll_out_second(inside, stages=(100.0,))
    bad, quick, _ = site.devices
    assigned = quick.assignment()
    bad.fails()
    assert inside.rollout(label).undone_at is not None
    quick.running = assigned.digest
    quick.says("confirmed", sequence=assigned.sequence)  # sent before the withdrawal came
    quick.says("confirmed")  # and how it stands after it
    assert inside.deployment(label, quick).state == "rolling_back"
    assert quick.assignment().digest == site.digest
    quick.confirms()
    assert inside.deployment(label, quick).state == "rolled_back"


def test_a_device_with_nothing_before_is_stranded_and_a_person_is_told(inside: Inside) -> None:
    device = inside.device()
    label = inside.roll_out(inside.push())
    device.confirms()
    inside.act("rollback", label)
    assert inside.states(label) == {"stranded": 1}
    assert inside.rollout(label).state == "rolled_back"
    with inside.database.read() as session:
        assert [alert.kind for alert in alerts.alerts(session, everything=False)] == ["rollback"]


def test_a_refused_rollback_is_not_called_done(site: SiteOfThree) -> None:
    inside, label = site.inside, roll_out_second(site.inside)
    [canary] = site.in_stage(label, 0)
    canary.confirms(lost=20)
    canary.fails("rejected", "trust.security_floor")
    assert inside.states(label) == {"stranded": 1, "withdrawn": 2}


def test_an_abort_keeps_successes_and_takes_the_rest_back(site: SiteOfThree) -> None:
    inside = site.inside
    label = roll_out_second(inside, stages=(100.0,))
    done, watched, loading = site.devices
    done.confirms(phases=("probation",))
    inside.pass_time(30_000)
    done.says("confirmed", evidence=[done.evidence("probation", site.digest)])
    watched.confirms()
    inside.pass_time(30_000)
    inside.act("abort", label)
    assert {device.id: inside.deployment(label, device).state for device in site.devices} == {
        done.id: "succeeded",
        watched.id: "rolling_back",
        loading.id: "withdrawn",
    }


def test_rollback_brings_a_finished_rollout_back(site: SiteOfThree) -> None:
    inside, label = site.inside, roll_out_second(site.inside, stages=(100.0,), probation_ms=0)
    for device in site.devices:
        device.confirms(phases=("probation",))
    assert inside.rollout(label).state == "finished"
    inside.act("rollback", label)
    assert {device.assignment().digest for device in site.devices} == {site.digest}
    for device in site.devices:
        device.confirms()
    assert inside.states(label) == {"rolled_back": 3}
    assert inside.rollout(label).undone_at is not None
