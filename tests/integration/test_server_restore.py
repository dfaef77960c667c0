"""A server is lost and comes back from its backup, and its fleet goes on."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agent_broker import AgentProcess, eventually
from support.bundles import make_bundle
from support.real_server import RealServer

pytestmark = pytest.mark.integration


@pytest.fixture
def running(tmp_path: Path) -> Iterator[list[RealServer | AgentProcess]]:
    """What a test starts; ended behind it."""
    started: list[RealServer | AgentProcess] = []
    yield started
    for process in reversed(started):
        process.stop()


@pytest.mark.attack
def test_a_fleet_goes_on_after_its_server_was_lost_and_restored(
    tmp_path: Path, running: list[RealServer | AgentProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEFLEET_BACKUP_PASSPHRASE", "five words that nobody guesses")
    server = RealServer(tmp_path / "home")
    running.append(server)
    device = server.enroll(tmp_path / "agent")
    running.append(AgentProcess(tmp_path / "agent"))
    bundles = [make_bundle(tmp_path, version=f"{number}.0.0", padding=number * 10) for number in (1, 2, 3)]
    probation = ("--probation", "1s")
    server.rolled_out(bundles[0], "digits@1.0.0", "finished", *probation)

    server.command("server", "backup", "--data", server.data, "--out", tmp_path / "backup", "--with-keys")
    server.rolled_out(bundles[1], "digits@2.0.0", "finished", *probation)
    before = server.command("device", "show", device)
    late = server.enroll(tmp_path / "late")
    server.stop(signal.SIGKILL)
    shutil.rmtree(server.data)

    server.command("server", "restore", tmp_path / "backup", "--data", server.data)
    server = RealServer(tmp_path / "home")
    running.append(server)
    running.append(AgentProcess(tmp_path / "late"))
    # What the lost server had ordered is in force on the device, and the restored one learns it from its report.
    eventually(
        lambda: server.command("device", "show", device)["reported_sequence"] == before["sequence"],
        "the device is back",
    )
    server.rolled_out(bundles[2], "digits@3.0.0", "finished", *probation)
    after = server.command("device", "show", device)
    assert (after["release"], after["state"]) == ("digits@3.0.0", "confirmed")
    assert after["sequence"] == after["reported_sequence"] > before["sequence"]
    # Who enrolled after the backup is unknown, and a person is told.
    told = eventually(
        lambda: [alert for alert in server.command("alert", "list") if alert["kind"] == "unknown"], "the alert"
    )
    assert [late in alert["text"] for alert in told] == [True]
    assert [entry["id"] for entry in server.command("device", "list")] == [device]
