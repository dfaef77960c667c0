"""Whoever answers for the network's time at a start makes no device reject what the server assigned."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_agent.clock import SystemClock
from support.agent_clocks import DAY_MS
from support.agent_fleet import FleetSide, Operator
from support.agent_runs import AgentRun
from support.bundles import make_bundle

pytestmark = pytest.mark.attack


def test_a_wrong_system_clock_at_a_start_rejects_nothing_for_good(tmp_path: Path) -> None:
    operator, bundle, now = Operator(), make_bundle(tmp_path, runtime="litert"), SystemClock().now_ms()
    folder, device = operator.enrolled_folder(tmp_path / "data")
    side = FleetSide(folder, device, [bundle.read_bytes()])
    operator.publish([bundle])
    operator.repository.live_from(now)
    side.desired = operator.assign(device, [bundle], 1, expires=now + 30 * DAY_MS)
    side.telling_time = False
    run = AgentRun(folder, side)
    run.clock.ahead_s = 40 * 86_400
    with run:
        report = run.settle()
        assert report.error is not None
        assert (report.state, report.error.code) == ("idle", "trust.expired")
        side.telling_time = True
        run.network.connect()
        assert run.until(lambda seen: seen.sequence == 1).state == "confirmed"
