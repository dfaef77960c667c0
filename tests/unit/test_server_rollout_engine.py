"""Rollouts from report to assignment, under a clock that the test turns; no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_contract import identifiers
from edgefleet_contract.errors import Conflict, InputError, NotFound, UsageMalformed
from edgefleet_contract.messages import ErrorReport
from edgefleet_server.alerts import service as alerts
from edgefleet_server.clock import DAY
from edgefleet_server.devices.models import Device
from edgefleet_server.rollouts import facts
from edgefleet_server.rollouts.assignments import ASSIGNMENT_LIFE
from edgefleet_server.rollouts.models import Assignment, Rollout
from edgefleet_server.rollouts.policy import StageCounts
from support.server_state import NOON, Inside, SiteOfThree
from support.tiny_bundles import tiny_bundle, tiny_vectors

CANARY = {"stages": (30.0, 100.0)}


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    made = Inside(tmp_path)
    yield made
    made.close()


@pytest.fixture
def site(inside: Inside) -> SiteOfThree:
    return SiteOfThree(inside)


def second(inside: Inside, **changed: object) -> str:
    """A rollout of 1.1.0 with one canary."""
    return inside.roll_out(inside.push(tiny_bundle(inside.folder, "1.1.0")), **{**CANARY, **changed})


def test_success_comes_after_probation_and_not_with_the_confirmation(inside: Inside) -> None:
    device = inside.device()
    label = inside.roll_out(inside.push(), probation_ms=60_000)
    device.says("downloading")
    assert inside.states(label) == {"downloading": 1}
    device.confirms()
    assert inside.states(label) == {"probation": 1}
    inside.pass_time(59_999)
    assert inside.states(label) == {"probation": 1}
    inside.pass_time(1)
    assert inside.states(label) == {"succeeded": 1}
    assert inside.rollout(label).state == "finished"


def test_the_second_stage_waits_for_the_canary(site: SiteOfThree) -> None:
    inside, label = site.inside, second(site.inside)
    [canary], others = site.in_stage(label, 0), site.in_stage(label, 1)
    assert inside.states(label) == {"assigned": 1, "waiting": 2}
    canary.confirms(phases=("trial", "probation"))
    inside.pass_time(30_000)
    canary.says("confirmed", evidence=[canary.evidence("probation", site.digest)])
    inside.pass_time(30_000)
    assert inside.states(label) == {"succeeded": 1, "assigned": 2}
    assert [device.assignment().rollout for device in others] == [label, label]


def test_the_default_vectors_are_those_of_what_runs_now(site: SiteOfThree) -> None:
    rollout = site.inside.rollout(second(site.inside))
    assert rollout.vectors_origin == "baseline vectors of digits@1.0.0"
    assert site.inside.rollout(site.first).vectors_sha256 is None, "a first release has no incumbent"


def test_vectors_of_another_model_judge_nothing(site: SiteOfThree) -> None:
    other = site.inside.push(tiny_bundle(site.inside.folder, "2.0.0", name="faces"))
    assert site.inside.rollout(site.inside.roll_out(other)).vectors_sha256 is None


def test_worse_evidence_halts_and_rolls_back_in_that_order(site: SiteOfThree) -> None:
    inside, label = site.inside, second(site.inside)
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
    label = second(inside, stages=(100.0,), success=0.6, error=0.4)
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
    label = second(inside, stages=(100.0,), success=0.6, error=0.4)
    first, then, _ = site.devices
    first.confirms(lost=20)
    first.confirms()
    assert inside.deployment(label, first).state == "rolled_back"
    then.confirms(lost=20)
    assert inside.rollout(label).state == "halted"
    assert "2 of 2 executed deployments" in (inside.rollout(label).reason or "")


def test_devices_that_were_never_assigned_are_not_touched_by_a_halt(site: SiteOfThree) -> None:
    label = second(site.inside)
    others = site.in_stage(label, 1)
    before = [device.assignment() for device in others]
    site.in_stage(label, 0)[0].fails()
    assert [device.assignment() for device in others] == before


def test_a_device_that_reverts_by_itself_needs_no_rollback(site: SiteOfThree) -> None:
    inside, label = site.inside, second(site.inside)
    site.in_stage(label, 0)[0].fails("reverted")
    assert inside.rollout(label).state == "halted"
    assert inside.states(label) == {"failed": 1, "withdrawn": 2}
    assert inside.rollout(label).undone_at is not None


def test_a_trial_is_not_cut_short_by_a_halt(site: SiteOfThree) -> None:
    inside = site.inside
    label = second(inside, stages=(100.0,))
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
    label = second(inside, stages=(100.0,))
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
    inside, label = site.inside, second(site.inside)
    [canary] = site.in_stage(label, 0)
    canary.confirms(lost=20)
    canary.fails("rejected", "trust.security_floor")
    assert inside.states(label) == {"stranded": 1, "withdrawn": 2}


def test_a_device_that_confirms_one_bundle_and_runs_another_has_failed(site: SiteOfThree) -> None:
    label = second(site.inside)
    [canary] = site.in_stage(label, 0)
    canary.says("confirmed")  # under the new sequence, and still running the old digest
    deployment = site.inside.deployment(label, canary)
    assert (deployment.state, deployment.error_code) == ("failed", "report.contradiction")


def test_a_success_is_revoked_while_its_rollout_is_under_way(site: SiteOfThree) -> None:
    inside = site.inside
    label = second(inside, stages=(100.0,))
    early = site.devices[0]
    early.confirms(phases=("probation",))
    inside.pass_time(30_000)
    early.says("confirmed", evidence=[early.evidence("probation", site.digest)])
    inside.pass_time(30_000)
    assert inside.deployment(label, early).state == "succeeded"
    early.running = site.digest
    early.fails("reverted")
    assert inside.deployment(label, early).state == "failed"
    assert inside.rollout(label).state == "halted"


def test_reports_of_an_older_assignment_change_nothing(site: SiteOfThree) -> None:
    inside, label = site.inside, second(site.inside)
    [canary] = site.in_stage(label, 0)
    older = canary.assignment().sequence - 1
    for state in ("reverted", "failed", "confirmed", "trial"):
        canary.says(state, sequence=older)
    assert inside.states(label) == {"assigned": 1, "waiting": 2}


def test_late_reports_of_an_earlier_life_change_nothing(site: SiteOfThree) -> None:
    inside, label = site.inside, second(site.inside)
    [canary] = site.in_stage(label, 0)
    late = canary.message("reverted")
    canary.boot, canary.n = identifiers.new_boot_id(), 0
    canary.says("downloading")
    outcome = inside.ingest.store([late])
    inside.engine.run_until_quiet()
    assert inside.states(label) == {"downloading": 1, "waiting": 2}
    assert outcome.acks, "it is acknowledged all the same, or it would come for ever"


def test_a_pause_holds_the_next_stage_back_and_resume_lets_it_go(site: SiteOfThree) -> None:
    inside, label = site.inside, second(site.inside)
    inside.act("pause", label)
    [canary] = site.in_stage(label, 0)
    canary.confirms()
    inside.pass_time(45_000)
    canary.says("confirmed", evidence=[canary.evidence("probation", site.digest)])
    inside.pass_time(45_000)
    assert inside.states(label) == {"succeeded": 1, "waiting": 2}
    inside.act("resume", label)
    assert inside.states(label) == {"assigned": 2, "succeeded": 1}


def test_an_abort_keeps_successes_and_takes_the_rest_back(site: SiteOfThree) -> None:
    inside = site.inside
    label = second(inside, stages=(100.0,))
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
    inside, label = site.inside, second(site.inside, stages=(100.0,), probation_ms=0)
    for device in site.devices:
        device.confirms(phases=("probation",))
    assert inside.rollout(label).state == "finished"
    inside.act("rollback", label)
    assert {device.assignment().digest for device in site.devices} == {site.digest}
    for device in site.devices:
        device.confirms()
    assert inside.states(label) == {"rolled_back": 3}
    assert inside.rollout(label).undone_at is not None


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
    inside, label = site.inside, second(site.inside)
    release = inside.push(tiny_bundle(inside.folder, "1.2.0"))
    with pytest.raises(Conflict, match=f"{label} of digits@1.1.0 is under way on devices in 'all'") as error:
        inside.roll_out(release)
    assert "r3" not in error.value.text(), "the one that was refused is gone, and has no name"
    with pytest.raises(Conflict, match="under way"):
        inside.act("rollback", site.first)
    inside.act("abort", label)
    inside.roll_out(release)


def test_a_new_rollout_takes_over_a_device_that_never_came_back(site: SiteOfThree) -> None:
    inside, label = site.inside, second(site.inside)
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
    label = second(site.inside, probation_ms=5000)
    [canary] = site.in_stage(label, 0)
    assignment = canary.assignment()
    assert assignment.device == canary.id
    assert assignment.hardware == "x86-64"
    assert assignment.rollout == label
    assert assignment.probation_ms == 5000
    assert assignment.vectors is not None
    assert assignment.vectors.bytes == len(tiny_vectors("1.0.0"))


def test_the_canaries_of_two_rollouts_need_not_be_the_same(inside: Inside) -> None:
    devices = [inside.device() for _ in range(20)]
    release = inside.push()
    chosen = []
    for _ in range(4):
        label = inside.roll_out(release, stages=(5.0, 100.0))
        chosen += [device.id for device in devices if inside.deployment(label, device).stage == 0]
        inside.act("abort", label)
    assert len(set(chosen)) > 1


def test_every_sequence_a_device_was_given_is_kept(site: SiteOfThree) -> None:
    label = second(site.inside)
    [canary] = site.in_stage(label, 0)
    canary.confirms(lost=20)
    with site.inside.database.read() as session:
        kept = select(Assignment).where(Assignment.device_id == canary.id).order_by(Assignment.sequence)
        history = session.scalars(kept).all()
        assert [assignment.purpose for assignment in history] == ["deploy", "deploy", "rollback"]
        assert history[-1].sequence == session.get_one(Device, canary.id).sequence


def test_a_rollout_that_we_fail_at_does_not_hold_others_up(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    poor, fine = inside.device(group="poor"), inside.device(group="fine")
    release = inside.push()
    first, second_label = inside.roll_out(release, to="poor"), inside.roll_out(release, to="fine")
    whole = facts.counts_of

    def breaks_at_the_first(session: Session, rollout: Rollout) -> list[StageCounts]:
        if rollout.label == first:
            raise ZeroDivisionError
        return whole(session, rollout)

    monkeypatch.setattr(facts, "counts_of", breaks_at_the_first)
    for device in (poor, fine):
        device.confirms()
    inside.pass_time(60_000)
    assert inside.rollout(second_label).state == "finished"
    assert inside.rollout(first).state == "running"
    assert f"rollout={first} failed" in caplog.text


def test_why_evidence_is_missing_is_shown_while_it_may_still_come(site: SiteOfThree) -> None:
    inside, label = site.inside, second(site.inside)
    [canary] = site.in_stage(label, 0)
    canary.confirms(phases=(), error=ErrorReport("agent.inference_failed", "the model hangs"))
    inside.pass_time(60_000)
    deployment = inside.deployment(label, canary)
    assert (deployment.state, deployment.error_text) == ("probation", "the model hangs")
    canary.says("confirmed", evidence=[canary.evidence("probation", site.digest)])
    assert inside.deployment(label, canary).state == "succeeded"
    assert inside.deployment(label, canary).error_text is None


@pytest.mark.parametrize(("code", "passes"), [("data.malformed", 0), ("agent.inference_failed", 75_000)])
def test_a_device_that_can_give_no_evidence_does_not_hold_its_rollout_for_ever(
    site: SiteOfThree, code: str, passes: int
) -> None:
    inside, label = site.inside, second(site.inside)
    [canary] = site.in_stage(label, 0)
    canary.confirms(phases=(), error=ErrorReport(code, "the vectors have another shape"))
    inside.pass_time(passes)
    deployment = inside.deployment(label, canary)
    assert (deployment.error_code, deployment.error_text) == (
        code, "it has no evidence: the vectors have another shape"
    )  # fmt: skip
    assert inside.rollout(label).state == "halted"
    assert canary.assignment().digest == site.digest


def test_what_a_device_says_besides_does_not_fail_a_rollout_without_vectors(inside: Inside) -> None:
    device = inside.device()
    label = inside.roll_out(inside.push())
    device.confirms(error=ErrorReport("data.malformed", "something"))
    inside.pass_time(60_000)
    assert inside.rollout(label).state == "finished"
