"""Agent and fleet server together, each as its own process, over mosquitto and over amqtt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.agent_broker import AgentProcess, eventually, run_command
from support.bundles import make_bundle, npz, validation_cases, vectors_file, worse_model

pytestmark = pytest.mark.integration


@dataclass
class Server:
    """``edgefleet server run`` as a process."""

    process: subprocess.Popen[str]
    home: Path

    def command(self, *arguments: object) -> Any:
        """Run one operator's command to its end; its JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "edgefleet", *map(str, arguments), "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "EDGEFLEET_HOME": str(self.home)},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def enroll(self, data: Path) -> str:
        """Enroll an agent's folder; the device's id."""
        token = self.command("device", "token")
        enrolled = run_command(
            "enroll", "--server", token["server"], "--token", token["token"], "--data", data, "--target", "x86-64",
            "--json",
        )  # fmt: skip
        assert enrolled.returncode == 0, enrolled.stderr
        return str(json.loads(enrolled.stdout)["device"])


@pytest.fixture(params=["mosquitto", "amqtt"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    home = tmp_path / "home"
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgefleet", "server", "run", "--port", "0", "--broker", request.param, "--json"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "EDGEFLEET_HOME": str(home)},
        )
    assert process.stdout is not None
    assert process.stdout.readline(), (tmp_path / "server.log").read_text()
    yield Server(process, home)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    process.stdout.close()


def rolled_out(server: Server, bundle: Path, release: str, state: str, *options: object) -> dict[str, Any]:
    """Push and roll out a bundle to all devices at once; the rollout, once it is in ``state`` and undone if it must."""
    server.command("release", "push", bundle)
    created = server.command("rollout", "create", "--release", release, "--to", "all", "--stage", "100%", *options)

    def ended() -> dict[str, Any] | None:
        seen = server.command("rollout", "show", created["id"])
        return seen if seen["state"] == state and (state != "halted" or seen["undone_at"]) else None

    rollout: dict[str, Any] = eventually(ended, f"{release} is {state}")
    return rollout


def test_a_release_is_rolled_out_and_a_worse_one_rolled_back(server: Server, tmp_path: Path) -> None:
    device = server.enroll(tmp_path / "agent")
    agent = AgentProcess(tmp_path / "agent", "--telemetry-interval", "1s")
    try:
        good = make_bundle(tmp_path, padding=300_000)
        worse = make_bundle(tmp_path, version="1.1.0", model=worse_model())
        vectors = ("--vectors", vectors_file(tmp_path / "vectors.npz"))

        first = rolled_out(server, good, "digits@1.0.0", "finished", "--probation", "2s", *vectors)
        assert first["deployments"][0]["evidence"]["probation"]["candidate"]["correct"] == 97
        confirmed = server.command("device", "show", device)
        assert confirmed["release"] == "digits@1.0.0"

        x, _ = validation_cases()
        (tmp_path / "images.npz").write_bytes(npz(x=x[:30]))
        infer = ("infer", "--data", tmp_path / "agent", "--input", tmp_path / "images.npz")
        assert run_command(*infer).returncode == 0

        second = rolled_out(server, worse, "digits@1.1.0", "halted", "--probation", "60s", *vectors)
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
