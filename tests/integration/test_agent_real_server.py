"""Agent and fleet server together, each as its own process, over mosquitto and over amqtt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agent_broker import AgentProcess, eventually, run_command
from support.bundles import make_bundle, npz, validation_cases, vectors_file, worse_model
from support.real_server import RealServer

pytestmark = pytest.mark.integration


@pytest.fixture(params=["mosquitto", "amqtt"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealServer]:
    started = RealServer(tmp_path / "home", request.param)
    yield started
    started.stop()


@pytest.mark.attack
def test_a_release_is_rolled_out_and_a_worse_one_rolled_back(server: RealServer, tmp_path: Path) -> None:
    device = server.enroll(tmp_path / "agent")
    agent = AgentProcess(tmp_path / "agent", "--telemetry-interval", "1s")
    try:
        good = make_bundle(tmp_path, padding=300_000)
        worse = make_bundle(tmp_path, version="1.1.0", model=worse_model())
        vectors = ("--vectors", vectors_file(tmp_path / "vectors.npz"))

        first = server.rolled_out(good, "digits@1.0.0", "finished", "--probation", "2s", *vectors)
        assert first["deployments"][0]["evidence"]["probation"]["candidate"]["correct"] == 97
        confirmed = server.command("device", "show", device)
        assert confirmed["release"] == "digits@1.0.0"

        x, _ = validation_cases()
        (tmp_path / "images.npz").write_bytes(npz(x=x[:30]))
        infer = ("infer", "--data", tmp_path / "agent", "--input", tmp_path / "images.npz")
        assert run_command(*infer).returncode == 0

        second = server.rolled_out(worse, "digits@1.1.0", "halted", "--probation", "60s", *vectors)
        assert second["counts"] == {"rolled_back": 1}
        evidence = second["deployments"][0]["evidence"]["trial"]
        assert (evidence["candidate"]["correct"], evidence["incumbent"]["correct"]) == (1, 97)
        seen = server.command("device", "show", device)
        assert (seen["release"], seen["state"]) == ("digits@1.0.0", "confirmed")
        assert seen["sequence"] == seen["reported_sequence"] > confirmed["sequence"]
        eventually(lambda: server.command("device", "show", device)["telemetry"]["n"] > 2, "telemetry on the server")
        assert agent.stop() == 0
    finally:
        agent.kill()


@pytest.mark.parametrize("server", ["mosquitto"], indirect=True)
def test_a_revoked_device_knows_it_and_says_so(server: RealServer, tmp_path: Path) -> None:
    device = server.enroll(tmp_path / "agent")
    agent = AgentProcess(tmp_path / "agent")

    def status() -> dict[str, object]:
        shown: dict[str, object] = json.loads(run_command("status", "--data", tmp_path / "agent", "--json").stdout)
        return shown

    try:
        eventually(lambda: status()["connected"], "connected")
        assert status()["revoked"] is False
        server.command("device", "revoke", device, "--yes")
        eventually(lambda: status()["revoked"], "the agent knows that it is revoked")
        assert "shut out" in run_command("status", "--data", tmp_path / "agent").stdout
        assert agent.stop() == 0
    finally:
        agent.kill()
