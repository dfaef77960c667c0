"""Deployments on a device, with real bundles and a real runtime, against a simulated server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edgefleet_agent.disk import Disk
from edgefleet_agent.record import load_record
from edgefleet_agent.trust_store import load_floor
from edgefleet_contract import topics
from edgefleet_contract.errors import DiskFailed
from edgefleet_contract.trust import highest
from support.agent_fleet import FleetSide, Operator
from support.agent_runs import AgentRun
from support.bundles import ISSUED, make_bundle, npz, release_of, validation_cases, vectors_file


class Bench:
    """A device, the operator of its fleet, and bundles for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.operator = Operator()
        self.folder, self.device = self.operator.enrolled_folder(root / "data")
        self.side = FleetSide(self.folder, self.device, [])
        self._sequence = 0

    def bundle(self, version: str, **changes: object) -> Path:
        """A bundle that the server offers."""
        path = make_bundle(self.root, version=version, runtime="litert", **changes)
        self.side.offer(path.read_bytes())
        return path

    def vectors(self, data: bytes) -> bytes:
        """Rollout vectors that the server offers."""
        self.side.offer(data)
        return data

    def assign(self, *bundles: Path, **changes: object) -> int:
        """Assign a bundle under the next sequence; none withdraws."""
        self._sequence += 1
        self.side.desired = self.operator.assign(self.device, bundles, self._sequence, **changes)
        return self._sequence

    def run(self, disk: Disk | None = None) -> AgentRun:
        return AgentRun(self.folder, self.side, disk=disk)

    def confirm(self, bundle: Path) -> None:
        """Assign a bundle, and run an agent until it has confirmed it."""
        sequence = self.assign(bundle)
        with self.run() as run:
            assert run.settle().state == "confirmed"
        assert load_record(self.folder).sequence == sequence


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def digest_of(bundle: Path) -> str:
    return release_of([bundle]).bundles[0].digest


def test_the_first_bundle_is_confirmed_and_serves(bench: Bench) -> None:
    bundle = bench.bundle("1.0.0")
    bench.assign(bundle)
    with bench.run() as run:
        report = run.settle()
        assert (report.state, report.running, report.confirmed) == ("confirmed", digest_of(bundle), [digest_of(bundle)])
        assert run.agent.served.is_ready
    states = {seen.n: seen.state for seen in bench.side.reports}
    assert list(states.values()) == ["idle", "downloading", "verifying", "verifying", "trial", "confirmed"]
    assert highest(load_floor(bench.folder), "issued/digits") == ISSUED


@pytest.mark.attack
def test_outputs_off_the_golden_vectors_revert_and_leave_the_old_model_serving(bench: Bench) -> None:
    good, bad = bench.bundle("1.0.0"), bench.bundle("1.1.0", golden_offset=0.5)
    bench.confirm(good)
    bench.assign(bad)
    with bench.run() as run:
        report = run.settle()
        assert (report.state, report.running) == ("reverted", digest_of(good))
        assert report.error is not None
        assert report.error.code == "agent.health_check_failed"
        assert run.agent.served.is_ready
    assert list(bench.folder.download.iterdir()) == []


@pytest.mark.attack
def test_an_artifact_that_does_not_load_reverts(bench: Bench) -> None:
    bench.assign(bench.bundle("1.0.0", cut_artifact=4000))
    with bench.run() as run:
        report = run.settle()
    assert (report.state, report.running) == ("reverted", None)
    assert report.error is not None
    assert report.error.code == "agent.inference_failed"


def test_rollout_vectors_are_run_by_both_models_in_trial_and_probation(bench: Bench) -> None:
    first, second = bench.bundle("1.0.0"), bench.bundle("1.1.0", padding=1000)
    bench.confirm(first)
    vectors = bench.vectors(vectors_file(bench.root / "v.npz", count=50).read_bytes())
    bench.assign(second, vectors=vectors, probation_ms=60_000)
    with bench.run() as run:
        report = run.until(lambda seen: len(seen.evidence) == 2)
        for evidence in report.evidence:
            assert evidence.n == 50
            assert evidence.candidate.digest == digest_of(second)
            assert evidence.incumbent is not None
            assert evidence.incumbent.digest == digest_of(first)
            assert evidence.candidate.outputs_sha256 == evidence.incumbent.outputs_sha256
            assert evidence.argmax_agreement == 1.0
            assert evidence.candidate.correct == evidence.incumbent.correct
            assert evidence.candidate.correct is not None
            assert evidence.candidate.correct >= 47
        runs = len(bench.side.reports)
        for _ in range(8):
            run.clock.ahead_s += 15
            run.settle()
        assert len(bench.side.reports) == runs + 4, "at each quarter, and not after the end"
    assert load_record(bench.folder).probation_over


def test_vectors_that_do_not_fit_are_told_and_do_not_stop_the_confirmation(bench: Bench) -> None:
    bundle = bench.bundle("1.0.0")
    bench.assign(bundle, vectors=bench.vectors(npz(x=validation_cases()[0][:5, :4])))
    with bench.run() as run:
        report = run.settle()
    assert (report.state, report.evidence) == ("confirmed", [])
    assert report.error is not None
    assert report.error.code == "data.malformed"


def test_a_rollback_needs_no_download_while_the_slot_holds_the_bundle(bench: Bench) -> None:
    first, second = bench.bundle("1.0.0"), bench.bundle("1.1.0", padding=1000)
    bench.confirm(first)
    bench.confirm(second)
    bench.side.asked.clear()
    bench.assign(first)
    with bench.run() as run:
        report = run.settle()
    assert (report.state, report.running) == ("confirmed", digest_of(first))
    assert report.confirmed == [digest_of(first), digest_of(second)]
    assert bench.side.asked == []


def test_a_slot_that_lost_a_byte_is_downloaded_again(bench: Bench) -> None:
    first, second = bench.bundle("1.0.0"), bench.bundle("1.1.0", padding=1000)
    bench.confirm(first)
    bench.confirm(second)
    (bench.folder.slot("a") / "model.tflite").write_bytes(b"rotten")
    bench.assign(first)
    with bench.run() as run:
        assert run.settle().running == digest_of(first)
    assert bench.side.asked[-1][0] == release_of([first]).bundles[0].sha256


def test_a_damaged_slot_gives_way_to_the_one_confirmed_before(bench: Bench) -> None:
    first, second = bench.bundle("1.0.0"), bench.bundle("1.1.0", padding=1000)
    bench.confirm(first)
    bench.confirm(second)
    (bench.folder.slot("b") / "model.tflite").write_bytes(b"rotten")
    with bench.run() as run:
        report = run.settle()
        assert (report.state, report.running) == ("failed", digest_of(first))
        assert run.agent.served.is_ready
    (bench.folder.slot("a") / "manifest.json").unlink()
    with bench.run() as run:
        report = run.settle()
        assert (report.state, report.running) == ("failed", None)
        assert report.error is not None
        assert report.error.code == "data_folder.malformed"
        bench.assign(second)
        assert bench.side.desired is not None
        run.network.send(topics.DESIRED, bench.side.desired)
        assert run.settle().running == digest_of(second)


def test_the_loss_of_every_model_is_told_until_a_bundle_is_confirmed_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = bench.bundle("1.0.0"), bench.bundle("1.1.0", padding=1000)
    bench.confirm(first)
    bench.confirm(second)
    for slot in ("a", "b"):
        model = bench.folder.slot(slot) / "model.tflite"
        content = bytearray(model.read_bytes())
        content[100] ^= 1
        model.write_bytes(content)
    bench.assign()
    with bench.run() as run:
        report = run.settle()
        assert (report.state, report.running) == ("idle", None)
        assert report.error is not None
        assert report.error.code == "data_folder.malformed"
        assert run.agent.status()["error"] == msgspec.to_builtins(report.error)
    warnings = [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]
    assert any("data_folder.malformed" in text and "slot 'b' is damaged" in text for text in warnings)
    assert load_record(bench.folder).error == report.error
    bench.assign(second)
    with bench.run() as run:
        report = run.settle()
        assert (report.state, report.error) == ("confirmed", None)


def test_nothing_below_the_security_floor_serves_even_when_it_is_all_there_is(bench: Bench) -> None:
    first, second = bench.bundle("1.0.0"), bench.bundle("1.1.0", security_floor=2)
    bench.confirm(first)
    bench.confirm(second)
    (bench.folder.slot("b") / "model.tflite").write_bytes(b"rotten")
    with bench.run() as run:
        report = run.settle()
        assert (report.state, report.running) == ("failed", None)
        assert report.error is not None
        assert report.error.code == "trust.security_floor"
        assert not run.agent.served.is_ready


def test_a_withdrawal_ends_a_download_and_keeps_what_runs(bench: Bench) -> None:
    first, second = bench.bundle("1.0.0"), bench.bundle("1.1.0", padding=1000)
    bench.confirm(first)
    bench.side.withhold = True
    bench.assign(second)
    with bench.run() as run:
        assert run.settle().state == "downloading"
        bench.assign()
        assert bench.side.desired is not None
        run.network.send(topics.DESIRED, bench.side.desired)
        report = run.settle()
        assert (report.state, report.running, report.sequence) == ("confirmed", digest_of(first), 3)
        assert run.agent.served.is_ready
    assert list(bench.folder.download.iterdir()) == []


def test_a_cleared_assignment_changes_nothing_and_is_no_error(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.confirm(bench.bundle("1.0.0"))
    with bench.run() as run:
        before = run.settle()
        caplog.clear()
        run.network.send(topics.DESIRED, b"")
        assert run.settle() == before
        assert run.agent.served.is_ready
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_newer_assignment_takes_over_from_a_download(bench: Bench) -> None:
    first, second = bench.bundle("1.0.0"), bench.bundle("1.1.0", padding=1000)
    bench.side.withhold = True
    bench.assign(first)
    with bench.run() as run:
        assert run.settle().state == "downloading"
        bench.side.withhold = False
        bench.assign(second)
        assert bench.side.desired is not None
        run.network.send(topics.DESIRED, bench.side.desired)
        assert run.settle().running == digest_of(second)


def test_a_runtime_that_is_missing_fails_and_the_same_bundle_may_come_again(bench: Bench) -> None:
    bundle = bench.bundle("1.0.0", min_version="99")
    bench.assign(bundle)
    with bench.run() as run:
        report = run.settle()
    assert report.state == "failed"
    assert report.error is not None
    assert report.error.code == "agent.runtime_unavailable"


def test_a_bundle_of_another_target_in_the_right_release_is_rejected(bench: Bench) -> None:
    foreign = make_bundle(bench.root, version="1.0.0", runtime="litert", target="rpi4")
    bench.side.offer(foreign.read_bytes())
    bench.assign(foreign)
    with bench.run() as run:
        report = run.settle()
    assert (report.state, report.running) == ("rejected", None)
    assert report.error is not None
    assert report.error.code == "trust.wrong_target"


def test_an_assignment_that_expires_before_its_trial_is_not_activated(bench: Bench) -> None:
    bundle = bench.bundle("1.0.0")
    bench.side.withhold = True
    with bench.run() as run:
        bench.assign(bundle, expires=run.clock.now_ms() + 60_000)
        assert bench.side.desired is not None
        run.network.send(topics.DESIRED, bench.side.desired)
        assert run.settle().state == "downloading"
        bench.side.withhold = False
        run.clock.ahead_s += 120
        report = run.until(lambda seen: seen.state != "downloading")
    assert (report.state, report.running) == ("rejected", None)
    assert report.error is not None
    assert report.error.code == "trust.expired"


class FullDisk(Disk):
    """A disk that is full while ``is_full``, for the operations named."""

    def __init__(self, *names: str) -> None:
        self.is_full = True
        for name in names:
            setattr(self, name, self._unless_full(getattr(self, name)))

    def _unless_full(self, function: Callable[..., None]) -> Callable[..., None]:
        def guarded(*arguments: object) -> None:
            if self.is_full:
                raise DiskFailed("No room")
            function(*arguments)

        return guarded


@pytest.mark.parametrize("operation", ["write_blocks", "write_new", "rename"])
def test_a_disk_that_fills_up_fails_the_deployment_and_nothing_else(bench: Bench, operation: str) -> None:
    first, second = bench.bundle("1.0.0"), bench.bundle("1.1.0", padding=1000)
    bench.confirm(first)
    bench.assign(second)
    with bench.run(FullDisk(operation)) as run:
        report = run.settle()
        assert (report.state, report.running) == ("failed", digest_of(first))
        assert report.error is not None
        assert report.error.code == "agent.disk_failed"
        assert run.agent.served.is_ready
    bench.assign(second)
    with bench.run() as run:
        assert run.settle().running == digest_of(second)


def test_an_assignment_that_cannot_be_remembered_is_tried_again_when_there_is_room(bench: Bench) -> None:
    bundle, disk = bench.bundle("1.0.0"), FullDisk("write")
    bench.assign(bundle)
    with bench.run(disk) as run:
        report = run.settle()
        assert (report.state, report.sequence) == ("idle", 0)
        assert report.error is not None
        assert report.error.code == "agent.disk_failed"
        disk.is_full = False
        report = run.until(lambda seen: seen.state == "confirmed")
        assert report.running == digest_of(bundle)


def test_a_device_without_network_goes_on_serving_and_catches_up(bench: Bench) -> None:
    first, second = bench.bundle("1.0.0"), bench.bundle("1.1.0", padding=1000)
    bench.confirm(first)
    with bench.run() as run:
        run.settle()
        run.network.cut()
        bench.assign(second)
        run.settle()
        assert run.agent.served.is_ready
        run.network.connect()
        assert run.settle().running == digest_of(second)


def test_reports_are_sent_again_until_they_are_acknowledged(bench: Bench) -> None:
    bench.side.acknowledging = False
    with bench.run() as run:
        run.settle()
        before = len(bench.side.reports)
        run.clock.ahead_s += 8
        run.settle()
        assert len(bench.side.reports) == before + 1
        assert bench.side.reports[-1] == bench.side.reports[-2], "a repetition is the same message"
        bench.side.acknowledging = True
        run.clock.ahead_s += 16
        run.settle()
        done = len(bench.side.reports)
        run.clock.ahead_s += 3600
        run.settle()
        assert len(bench.side.reports) == done
