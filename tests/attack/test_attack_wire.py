"""An attacker between a real agent and a real broker, who holds bytes back: they delay, and nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgefleet_agent import identity
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_contract.enrolment import BrokerAddress
from support.agent_broker import AgentProcess, eventually, run_command
from support.bad_wire import BadWire
from support.bundles import make_bundle, npz, validation_cases
from support.real_server import RealServer
from support.unchanged import unchanged

pytestmark = [pytest.mark.attack, pytest.mark.integration]


def through(wire: BadWire, data: Path) -> None:
    """Have the device of ``data`` reach its broker by way of ``wire``."""
    folder = DataFolder(data)
    card = identity.Identity(folder).card
    identity.save_card(Disk(), folder, msgspec.structs.replace(card, broker=BrokerAddress("127.0.0.1", wire.port)))


def test_drop_requests_and_slow_retrieval_only_delay(tmp_path: Path) -> None:
    server = RealServer(tmp_path / "home")
    data = tmp_path / "agent"
    device = server.enroll(data)
    with BadWire(identity.Identity(DataFolder(data)).card.broker.port) as wire:
        through(wire, data)
        agent = AgentProcess(data)
        try:
            server.rolled_out(make_bundle(tmp_path), "digits@1.0.0", "finished", "--probation", "1s")
            x, _ = validation_cases()
            (tmp_path / "images.npz").write_bytes(npz(x=x[:3]))
            infer = ("infer", "--data", data, "--input", tmp_path / "images.npz")

            wire.behave("swallow")  # drop: the assignment is made, published, and never arrives
            server.command("release", "push", make_bundle(tmp_path, version="2.0.0", padding=30_000))
            create = ("rollout", "create", "--release", "digits@2.0.0", "--to", "all", "--stage", "100%")
            rollout = server.command(*create, "--probation", "1s")["id"]
            with unchanged(data):
                eventually(lambda: wire.swallowed > 0, "something is swallowed")
                assert run_command(*infer).returncode == 0
                assert server.command("device", "show", device)["release"] == "digits@1.0.0"

            wire.behave("trickle")  # slow: a window of blocks would take a minute
            eventually(lambda: server.command("device", "show", device)["state"] == "downloading", "the download")
            assert run_command(*infer).returncode == 0
            assert server.command("rollout", "show", rollout)["state"] == "running"

            wire.behave("pass")
            eventually(lambda: server.command("rollout", "show", rollout)["state"] == "finished", "the rollout")
            assert server.command("device", "show", device)["release"] == "digits@2.0.0"
        finally:
            agent.stop()
            server.stop()
