"""The demo, run as a person would run it, and recounted from the server's own records."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]


def run_demo(folder: Path, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "edgefleet", "demo", "--json", "--workdir", str(folder), *options],
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def processes_of(folder: Path) -> list[str]:
    """Command lines of living processes that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """What the server's database says."""
    with closing(sqlite3.connect(f"file:{folder / 'server' / 'edgefleet.db'}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def one(folder: Path, query: str) -> int:
    ((value,),) = rows(folder, query)
    return int(value)


@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_a_bad_version_is_halted_and_rolled_back_and_drift_is_seen(tmp_path: Path, broker: str) -> None:
    folder = tmp_path / "demo"
    result = run_demo(folder, "--broker", broker)
    assert result["devices"] == result["confirmed"] == 3
    assert result["halted"] == 1
    assert result["rolled_back"] >= 1
    assert result["drift_alerts"] >= 1
    assert result["accuracy"]["baseline"] - result["accuracy"]["compiled"] <= 0.01
    assert processes_of(folder) == []
    recount(folder, result)


def test_a_good_version_and_normal_images_alarm_nobody(tmp_path: Path) -> None:
    result = run_demo(tmp_path / "demo", "--devices", "5", "--second-release", "good", "--images", "normal")
    assert result["confirmed"] == 5
    assert result["halted"] == result["rolled_back"] == result["drift_alerts"] == 0


def test_an_agent_killed_for_good_makes_the_demo_fail(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with subprocess.Popen(
        [sys.executable, "-m", "edgefleet", "demo", "--json", "--workdir", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as demo:  # fmt: skip
        lock = folder / "agents" / "2" / "lock"
        while not (lock.is_file() and lock.read_text().strip()):
            assert demo.poll() is None
            time.sleep(0.1)
        time.sleep(2)
        os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
        output, errors = demo.communicate(timeout=200)
    assert demo.returncode == 1
    assert json.loads(output)["error"]["code"] == "demo.failed"
    assert "agent 2" in errors
    assert processes_of(folder) == []


def recount(folder: Path, result: dict[str, Any]) -> None:
    """Count everything again from the database, and read the story in the audit log."""
    assert result["devices"] == one(folder, "SELECT count(*) FROM devices")
    assert result["confirmed"] == one(
        folder, "SELECT count(*) FROM deployments WHERE rollout_id = 1 AND confirmed_at IS NOT NULL"
    )
    assert result["halted"] == one(folder, "SELECT count(*) FROM rollouts WHERE state = 'halted'")
    assert result["drift_alerts"] == one(folder, "SELECT count(*) FROM alerts WHERE kind = 'drift'")
    # Rolled back: the device confirmed the digest of 1.0.0 under the sequence of the server's new assignment.
    assert result["rolled_back"] == one(
        folder,
        """SELECT count(*) FROM assignments AS new
           JOIN deployments AS first ON first.rollout_id = 1 AND first.device_id = new.device_id
           JOIN deployments AS second ON second.rollout_id = 2 AND second.device_id = new.device_id
           WHERE new.purpose = 'rollback' AND new.digest = first.digest AND new.sequence > first.sequence
             AND second.state = 'rolled_back' AND second.sequence = new.sequence""",
    )
    story = [
        "deployment.confirmed",  # on the canary
        "deployment.evidence",  # of its probation
        "rollout.halted",
        "deployment.rolled_back",
    ]
    told = [act for (act,) in rows(folder, "SELECT act FROM audit_log WHERE rollout_id = 2 ORDER BY id")]
    assert subsequence(story, told), told


def subsequence(wanted: list[str], told: list[str]) -> bool:
    """Whether ``told`` has the acts wanted, in their order."""
    remaining = iter(told)
    return all(act in remaining for act in wanted)
