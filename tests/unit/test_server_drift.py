"""Drift on the server: verdicts over a rolling day, one alert for a cause, and when it goes away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgefleet_contract import canonical
from edgefleet_contract.messages import TelemetryRecord
from edgefleet_contract.sketches import Sketch
from edgefleet_server.alerts import service as alerts
from edgefleet_server.alerts.models import Alert
from edgefleet_server.alerts.offline import SILENT_AFTER, OfflineWatch
from edgefleet_server.clock import DAY, HOUR, MINUTE
from edgefleet_server.telemetry import drift
from edgefleet_server.telemetry.models import DriftVerdict
from edgefleet_server.telemetry.watch import DriftWatch
from support.server_state import Inside, StandIn
from support.tiny_bundles import REFERENCE, tiny_bundle

USUAL = [25, 25, 25, 25]
SHIFTED = [97, 1, 1, 1]


class Watched:
    """A device whose inputs the test chooses."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside
        self.device: StandIn = inside.device()
        inside.settle(inside.roll_out(inside.push()), self.device)
        self._n = 0
        self._watch = DriftWatch(inside.database, inside.clock, inside.references)

    def sees(self, counts: list[int], times: int = 1, rho: float = 0.0, digest: str | None = None) -> None:
        """Send one window whose second feature has ``counts``, and let the drift be evaluated."""
        self._n += 1
        n = sum(counts) * times
        usual = [n - 3 * (n // 4), *[n // 4] * 3]
        reference = canonical.sha256(canonical.encode(REFERENCE))
        sketch = Sketch(reference, n, rho, [usual, [count * times for count in counts]])
        record = TelemetryRecord(
            n=self._n, boot=self.device.boot, digest=digest or str(self.device.running), start=0, end=1, inferences=n,
            errors=0, sketch=sketch,
        )  # fmt: skip
        outcome = self.inside.ingest.store([self.device.telemetry([record])])
        self._watch.note(outcome.drifting)
        self._watch.evaluate_changed()

    def verdict(self) -> DriftVerdict:
        with self.inside.database.read() as session:
            [found] = drift.verdicts(session)
            return found

    def alerts(self, *, everything: bool = False) -> list[Alert]:
        with self.inside.database.read() as session:
            return alerts.alerts(session, everything=everything)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    inside = Inside(tmp_path)
    yield Watched(inside)
    inside.close()


def test_a_shift_that_enough_samples_show_raises_one_alert(watched: Watched) -> None:
    watched.sees(SHIFTED, times=3)
    assert not watched.verdict().enough, "300 samples are not enough"
    assert watched.alerts() == []
    watched.sees(SHIFTED, times=3)
    assert [feature["name"] for feature in watched.verdict().drifted] == ["x[1]"]
    watched.sees(SHIFTED, times=3)
    [alert] = watched.alerts()
    assert alert.count == 2
    assert alert.device_id == watched.device.id
    assert "x[1] (PSI" in alert.text
    assert "digits@1.0.0" in alert.text


def test_samples_that_repeat_each_other_count_less(watched: Watched) -> None:
    watched.sees(SHIFTED, times=20, rho=0.9)
    assert watched.verdict().samples == 2000
    assert watched.verdict().effective_samples == pytest.approx(2000 * 0.1 / 1.9)
    assert watched.alerts() == []


def test_usual_inputs_alarm_nobody(watched: Watched) -> None:
    for _ in range(30):
        watched.sees(USUAL, times=2)
    assert watched.verdict().enough
    assert watched.alerts(everything=True) == []


def test_an_alert_is_resolved_when_the_day_is_usual_again(watched: Watched) -> None:
    watched.sees(SHIFTED, times=10)
    assert len(watched.alerts()) == 1
    watched.inside.clock.turn(25 * HOUR)
    watched.sees(USUAL, times=10)
    assert watched.alerts() == []
    [resolved] = watched.alerts(everything=True)
    assert resolved.resolved_at == watched.inside.clock()
    watched.sees(SHIFTED, times=50)
    assert len(watched.alerts()) == 1, "it came back"
    assert len(watched.alerts(everything=True)) == 2


def test_only_the_last_day_counts(watched: Watched) -> None:
    watched.sees(SHIFTED, times=3)
    watched.inside.clock.turn(DAY + HOUR)
    watched.sees(SHIFTED, times=3)
    assert watched.verdict().samples == 300


def test_what_no_longer_runs_alarms_nobody(watched: Watched) -> None:
    inside, old = watched.inside, str(watched.device.running)
    watched.sees(SHIFTED, times=10)
    assert len(watched.alerts()) == 1
    inside.roll_out(inside.push(tiny_bundle(inside.folder, "1.1.0")))
    watched.device.confirms()
    assert watched.alerts() == []
    watched.sees(SHIFTED, times=10, digest=old)  # spooled while it was offline
    assert watched.alerts() == []


def test_histograms_lie_over_their_reference_the_worst_first(watched: Watched) -> None:
    watched.sees(SHIFTED, times=10)
    inside, device = watched.inside, watched.device
    with inside.database.read() as session:
        found = drift.histograms(session, inside.clock(), device.id, str(device.running), inside.references)
        assert drift.histograms(session, inside.clock(), device.id, "0" * 64, inside.references) == []
    assert [feature.name for feature in found] == ["x[1]", "x[0]"]
    assert found[0].observed == [0.97, 0.01, 0.01, 0.01]
    assert found[0].reference == [0.25] * 4
    assert found[0].edges == [0.0, 1.0, 2.0]


def test_a_silent_device_is_told_of_and_forgotten_when_it_speaks(watched: Watched) -> None:
    inside = watched.inside
    offline = OfflineWatch(inside.database, inside.clock)
    offline.look()
    assert watched.alerts() == []
    inside.clock.turn(SILENT_AFTER + MINUTE)
    offline.look()
    offline.look()
    [alert] = watched.alerts()
    assert (alert.kind, alert.device_id) == ("offline", watched.device.id)
    assert "silent for 24 hours" in alert.text
    watched.device.says("confirmed")
    offline.look()
    assert watched.alerts() == []
