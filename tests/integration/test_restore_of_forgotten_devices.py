"""The steps of docs/guide/backup.md, for a device that enrolled after the backup was made."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import msgspec
import pytest

from edgefleet_agent.cli import main as agent
from support.server_device import SimulatedDevice
from support.server_runs import running_site, until

pytestmark = pytest.mark.integration


def test_a_device_that_enrolled_after_the_backup_is_named_and_comes_in_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup, folder = str(tmp_path / "fleet.backup"), tmp_path / "device"
    with running_site(tmp_path / "lost", capsys) as lost:
        home = lost.operator.home
        lost.operator.ask("device", "token")  # makes the root
        lost.operator.environment["EDGEFLEET_BACKUP_PASSPHRASE"] = "five words that nobody guesses"
        lost.operator.ask("server", "backup", "--out", backup, "--with-keys")
        later = lost.identity()
        token = lost.operator.ask("device", "token")
        assert agent(["enroll", "--server", token["server"], "--token", token["token"], "--data", str(folder)]) == 0
        restored = str(tmp_path / "restored" / "data")
        lost.operator.ask("server", "restore", backup, "--data", restored)
    with running_site(tmp_path / "restored", capsys) as site:
        site.operator.environment["EDGEFLEET_HOME"] = str(home)
        now = msgspec.structs.replace(later.response, broker=site.identity().response.broker)
        forgotten = SimulatedDevice(tmp_path / "forgotten", dataclasses.replace(later, response=now))
        site.devices.append(forgotten)
        forgotten.report("idle")
        [alert] = until(lambda: [told for told in site.operator.ask("alert", "list") if told["kind"] == "unknown"])
        assert later.device in alert["text"]
        assert "remove its data folder" in alert["text"]
        assert later.device not in [device["id"] for device in site.operator.ask("device", "list")]
        token = site.operator.ask("device", "token")
        again = ["enroll", "--server", token["server"], "--token", token["token"], "--data", str(folder)]
        assert agent(again) != 0, "it holds the identity that the server has forgotten"
        shutil.rmtree(folder)
        assert agent(again) == 0
        assert len(site.operator.ask("device", "list")) == 2
