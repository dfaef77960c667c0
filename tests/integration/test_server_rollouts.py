"""Whole rollouts against simulated devices, on both brokers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgefleet_contract import blocks
from edgefleet_contract.bundle import transfer_digest
from edgefleet_contract.messages import TelemetryRecord
from edgefleet_contract.sketches import Sketch
from support.server_device import Outcome, SimulatedDevice, confirms, confirms_worse, reverts, stays_silent
from support.server_runs import Site, running_site, until
from support.tiny_bundles import REFERENCE, tiny_bundle

pytestmark = pytest.mark.integration


@pytest.fixture(params=["mosquitto", "amqtt"])
def site(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    with running_site(tmp_path, capsys, request.param) as running:
        yield running
        assert [device.failures for device in running.devices] == [[]] * len(running.devices)


def push(site: Site, version: str, **options: Any) -> str:
    return str(site.operator.ask("release", "push", str(tiny_bundle(site.folder, version, **options)))["label"])


def roll_out(site: Site, release: str, *options: str) -> str:
    common = ("--release", release, "--to", "all", "--probation", "200ms")
    return str(site.operator.ask("rollout", "create", *common, *options)["id"])


def wait_for(site: Site, label: str, state: str) -> dict[str, Any]:
    """The rollout, once it is in ``state`` and nothing of it moves any more."""

    def settled(rollout: dict[str, Any]) -> bool:
        going_back = state in ("halted", "aborted", "rolled_back") and rollout["undone_at"] is None
        return bool(rollout["state"] == state) and not going_back

    return until(lambda: site.rollout(label), settled)


def running_fleet(site: Site, count: int = 3, outcome: Outcome = confirms) -> list[SimulatedDevice]:
    """Devices that all run 1.0.0, and what they will make of the next release."""
    devices = [site.device() for _ in range(count)]
    wait_for(site, roll_out(site, push(site, "1.0.0"), "--stage", "100%"), "finished")
    for device in devices:
        device.outcome = outcome
    return devices


def test_a_good_release_reaches_every_device_stage_by_stage(site: Site) -> None:
    devices = [site.device() for _ in range(3)]
    label = roll_out(site, push(site, "1.0.0"), "--stage", "30%", "--stage", "100%")
    rollout = wait_for(site, label, "finished")
    assert rollout["counts"] == {"succeeded": 3}
    assert {device.running for device in devices} == {rollout["deployments"][0]["digest"]}
    assert [len(device.sequences) for device in devices] == [1, 1, 1]
    started = [entry["details"]["devices"] for entry in site.audit(rollout=label) if entry["act"] == "stage.started"]
    assert started == [1, 2]


def test_a_release_that_its_canary_reverts_is_halted_and_nobody_else_sees_it(site: Site) -> None:
    devices = running_fleet(site, outcome=reverts)
    before = devices[0].running
    label = roll_out(site, push(site, "1.1.0"), "--stage", "30%", "--stage", "100%")
    rollout = wait_for(site, label, "halted")
    assert rollout["counts"] == {"failed": 1, "withdrawn": 2}
    assert {device.running for device in devices} == {before}
    assert sorted(len(device.sequences) for device in devices) == [1, 1, 2]
    [alert] = site.operator.ask("alert", "list")
    assert (alert["kind"], alert["rollout"]) == ("halted", label)


def test_a_worse_release_is_halted_by_evidence_and_rolled_back_by_a_new_assignment(site: Site) -> None:
    devices = running_fleet(site, outcome=confirms_worse)
    before = devices[0].running
    label = roll_out(site, push(site, "1.1.0"), "--stage", "30%", "--stage", "100%")
    rollout = wait_for(site, label, "halted")
    assert rollout["counts"] == {"rolled_back": 1, "withdrawn": 2}
    assert {device.running for device in devices} == {before}
    [canary] = [device for device in devices if len(device.sequences) == 3]
    assert canary.sequences == sorted(set(canary.sequences)), "every assignment has a higher sequence"
    acts = [entry["act"] for entry in site.audit(rollout=label)]
    story = ("deployment.assigned", "deployment.confirmed", "deployment.evidence", "rollout.halted",
             "deployment.rollback_assigned", "deployment.rolled_back", "rollout.undone")  # fmt: skip
    assert list(dict.fromkeys(act for act in acts if act in story)) == list(story)
    status, _, _ = site.operator.run("rollout", "watch", label)
    assert status == 3


def test_rollback_by_hand_brings_everybody_back(site: Site) -> None:
    devices = running_fleet(site)
    before = devices[0].running
    label = roll_out(site, push(site, "1.1.0"), "--stage", "100%")
    wait_for(site, label, "finished")
    assert site.operator.run("rollout", "watch", label)[0] == 0
    site.operator.ask("rollout", "rollback", label)
    assert wait_for(site, label, "rolled_back")["counts"] == {"rolled_back": 3}
    assert {device.running for device in devices} == {before}


def test_an_abort_withdraws_what_is_not_activated(site: Site) -> None:
    devices = running_fleet(site, 2, stays_silent)
    label = roll_out(site, push(site, "1.1.0"), "--stage", "100%")
    until(lambda: [len(device.sequences) for device in devices] == [2, 2])
    site.operator.ask("rollout", "abort", label)
    assert wait_for(site, label, "aborted")["counts"] == {"withdrawn": 2}
    until(lambda: [len(device.sequences) for device in devices] == [3, 3])


def test_a_bundle_of_many_blocks_arrives_whole_and_only_at_whom_it_is_assigned_to(site: Site) -> None:
    content = bytes(range(256)) * (20 * blocks.BLOCK_BYTES // 256) + b"the last, short block"
    bundle = tiny_bundle(site.folder, model=content)
    with_it = site.device("x86-64", outcome=stays_silent)
    without = site.device("rpi4", outcome=stays_silent)
    label = str(site.operator.ask("release", "push", str(bundle))["label"])
    roll_out(site, label, "--stage", "100%")
    until(lambda: with_it.sequences)
    data = bundle.read_bytes()
    sha256 = site.operator.ask("release", "show", label)["bundles"][0]["sha256"]
    assert with_it.fetch(sha256, len(data)) == data
    without.ask_for(sha256, [0])
    assert with_it.fetch(sha256, len(data)) == data, "the refused request was before this one in the queue"
    assert without.blocks_received == 0


def test_a_lost_bundle_is_told_and_pushing_it_again_mends_the_rollout(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = tiny_bundle(site.folder, model=bytes(3 * blocks.BLOCK_BYTES))
    sha256, _ = transfer_digest(bundle)
    waiting, other = site.device(outcome=stays_silent), site.device(outcome=stays_silent)
    site.operator.ask("release", "push", str(bundle))
    label = roll_out(site, "digits@1.0.0", "--stage", "100%")
    until(lambda: waiting.sequences and other.sequences)
    (site.folder / "data" / "blobs" / "sha256" / sha256).unlink()
    waiting.ask_for(sha256, [0])
    [alert] = until(lambda: site.operator.ask("alert", "list"))
    assert (alert["kind"], "digits@1.0.0" in alert["text"]) == ("storage", True)
    assert "Traceback" not in caplog.text
    site.operator.ask("release", "push", str(bundle))
    assert other.fetch(sha256, bundle.stat().st_size) == bundle.read_bytes()
    assert site.rollout(label)["state"] == "running"


def test_telemetry_is_acknowledged_and_drift_raises_one_alert(site: Site) -> None:
    [device] = running_fleet(site, 1)
    [bundle] = site.operator.ask("release", "show", "digits@1.0.0")["bundles"]
    assert bundle["has_reference"]
    usual = [[125, 125, 125, 125], [125, 125, 125, 125]]
    drifted = [[125, 125, 125, 125], [500, 0, 0, 0]]
    for n, counts in enumerate([usual, drifted, drifted], start=1):
        sketch = Sketch(REFERENCE_SHA256, 500, 0.0, counts)
        device.send_telemetry([record(device, n, sketch)])
        device.wait_ack("telemetry", n)
    [verdict] = until(
        lambda: site.operator.ask("drift", "show"), lambda found: bool(found and found[0]["samples"] == 1500)
    )
    assert [feature["name"] for feature in verdict["drifted"]] == ["x[1]"]
    [alert] = site.operator.ask("alert", "list")
    assert (alert["kind"], alert["device"]) == ("drift", device.id)
    features = site.operator.ask("drift", "show", device.id)["features"]
    assert [feature["name"] for feature in features] == ["x[1]", "x[0]"]
    assert sum(features[0]["observed"]) == pytest.approx(1)
    newest = site.operator.ask("device", "show", device.id)["telemetry"]
    assert newest["inferences"] == 500


def record(device: SimulatedDevice, n: int, sketch: Sketch) -> TelemetryRecord:
    return TelemetryRecord(
        n=n, boot=device.boot, digest=str(device.running), start=0, end=1, inferences=sketch.n, errors=0, sketch=sketch
    )  # fmt: skip


def reference_sha256() -> str:
    from edgefleet_contract import canonical

    return canonical.sha256(canonical.encode(REFERENCE))


REFERENCE_SHA256 = reference_sha256()
