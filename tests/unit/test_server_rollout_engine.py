"""Rollouts from report to assignment, under a clock that the test turns; no network."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from edgefleet_contract import identifiers
from edgefleet_contract.messages import ErrorReport
from edgefleet_server.rollouts import facts
from edgefleet_server.rollouts.models import Rollout
from edgefleet_server.rollouts.policy import StageCounts
from support.server_state import Inside, SiteOfThree, roll_out_second
from support.tiny_bundles import tiny_bundle


@pytest.fixture
def site(inside: Inside) -> SiteOfThree:
    return SiteOfThree(inside)


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
    inside, label = site.inside, roll_out_second(site.inside)
    [canary], others = site.in_stage(label, 0), site.in_stage(label, 1)
    assert inside.states(label) == {"assigned": 1, "waiting": 2}
    canary.confirms(phases=("trial", "probation"))
    inside.pass_time(30_000)
    canary.says("confirmed", evidence=[canary.evidence("probation", site.digest)])
    inside.pass_time(30_000)
    assert inside.states(label) == {"succeeded": 1, "assigned": 2}
    assert [device.assignment().rollout for device in others] == [label, label]


def test_the_default_vectors_are_those_of_what_runs_now(site: SiteOfThree) -> None:
    rollout = site.inside.rollout(roll_out_second(site.inside))
    assert rollout.vectors_origin == "baseline vectors of digits@1.0.0"
    assert site.inside.rollout(site.first).vectors_sha256 is None, "a first release has no incumbent"


def test_vectors_of_another_model_judge_nothing(site: SiteOfThree) -> None:
    other = site.inside.push(tiny_bundle(site.inside.folder, "2.0.0", name="faces"))
    assert site.inside.rollout(site.inside.roll_out(other)).vectors_sha256 is None


def test_a_device_that_confirms_one_bundle_and_runs_another_has_failed(site: SiteOfThree) -> None:
    label = roll_out_second(site.inside)
    [canary] = site.in_stage(label, 0)
    canary.says("confirmed")  # under the new sequence, and still running the old digest
    deployment = site.inside.deployment(label, canary)
    assert (deployment.state, deployment.error_code) == ("failed", "report.contradiction")


def test_a_success_is_revoked_while_its_rollout_is_under_way(site: SiteOfThree) -> None:
    inside = site.inside
    label = roll_out_second(inside, stages=(100.0,))
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
    inside, label = site.inside, roll_out_second(site.inside)
    [canary] = site.in_stage(label, 0)
    older = canary.assignment().sequence - 1
    for state in ("reverted", "failed", "confirmed", "trial"):
        canary.says(state, sequence=older)
    assert inside.states(label) == {"assigned": 1, "waiting": 2}


def test_late_reports_of_an_earlier_life_change_nothing(site: SiteOfThree) -> None:
    inside, label = site.inside, roll_out_second(site.inside)
    [canary] = site.in_stage(label, 0)
    late = canary.message("reverted")
    canary.boot, canary.n = identifiers.new_boot_id(), 0
    canary.says("downloading")
    outcome = inside.ingest.store([late])
    inside.engine.run_until_quiet()
    assert inside.states(label) == {"downloading": 1, "waiting": 2}
    assert outcome.acks, "it is acknowledged all the same, or it would come for ever"


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
    inside, label = site.inside, roll_out_second(site.inside)
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
    inside, label = site.inside, roll_out_second(site.inside)
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
