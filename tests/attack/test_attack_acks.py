"""A broker that forges acknowledgements, so that devices forget what the server never got."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_agent.disk import Disk
from edgefleet_agent.spool import Spool
from edgefleet_contract import dsse, keys, messages, topics
from edgefleet_contract.messages import Ack, TelemetryRecord
from support.agent_fleet import FleetSide, Operator
from support.agent_runs import AgentRun
from support.unchanged import unchanged

pytestmark = pytest.mark.attack

BOOT = "0123456789abcdef"


def test_a_forged_acknowledgement_makes_a_device_forget_nothing(tmp_path: Path) -> None:
    folder, device = Operator().enrolled_folder(tmp_path / "data")
    Spool(folder.spool, Disk(), 1 << 20).append(TelemetryRecord(1, BOOT, "d" * 64, 0, 1000, 4, 0))
    side = FleetSide(folder, device, [])
    side.acknowledging = False
    ack = Ack(1, device, "telemetry", BOOT, 1)
    forged = (
        messages.encode(ack),
        dsse.sign(messages.encode(ack), dsse.ACK, [keys.generate()]),
        dsse.sign(messages.encode(ack), dsse.ASSIGNMENT, [keys.generate()]),
        side.seal(Ack(1, "d-bbbbbbbbbbbbbbbb", "telemetry", BOOT, 1)),
        side.seal(Ack(1, device, "telemetry", "another life", 1)),
    )
    with AgentRun(folder, side) as run:
        run.settle()
        with unchanged(folder.root):
            for payload in forged:
                run.network.send(topics.ACK, payload)
                run.settle()
                assert run.agent.status()["spool"]["records"] == 1
        run.network.send(topics.ACK, side.seal(ack))
        run.settle()
        assert run.agent.status()["spool"]["records"] == 0
