"""The command line: every error is one line, and its exit status says whose turn it is."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgefleet_agent import agent_version, status
from edgefleet_agent.cli import main
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_contract.enrolment import encode_token
from support.agent_fleet import Operator


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        ([], 2, "usage"),
        (["dance"], 2, "usage"),
        (["run"], 2, "usage"),
        (["status", "--data", "nowhere"], 2, "agent.not_enrolled"),
        (["run", "--data", "nowhere"], 2, "agent.not_enrolled"),
        (["run", "--data", "nowhere", "--telemetry-interval", "soon"], 2, "usage"),
        (["infer", "--data", "nowhere", "--input", "x.npz"], 2, "agent.not_enrolled"),
        (["batch", "--data", "nowhere", "--in", ".", "--out", "o.jsonl"], 2, "agent.not_enrolled"),
        (["enroll", "--data", "d", "--server", "https://localhost", "--token", "eft1.x"], 4, "token.refused"),
        (["enroll", "--data", "d", "--server", "localhost", "--token", "eft1.x"], 2, "usage"),
        (
            ["enroll", "--data", "d", "--server", "https://x", "--token", "eft1.x", "--target", "rpi44"],
            2,
            "target.unknown",
        ),
    ],
)
def test_each_mistake_has_its_code_and_exit_status(
    arguments: list[str],
    status: int,
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == status
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith(f"error[{code}]: ")
    assert seen.err.count("\n") == 1
    assert main([*arguments, "--json"]) == status
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


def test_nothing_is_made_by_a_command_that_was_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(["enroll", "--data", "d", "--server", "https://localhost", "--token", "eft1.x"])
    main(["status", "--data", "d"])
    main(["run", "--data", "d"])
    assert list(tmp_path.iterdir()) == []


def test_enrolment_into_a_path_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    token = encode_token(Operator().token())
    arguments = ["enroll", "--data", str(tmp_path / "file"), "--server", "https://127.0.0.1:9", "--token", token]
    assert main([*arguments, "--target", "x86-64"]) == 2
    assert capsys.readouterr().err.startswith("error[output.unwritable]: ")


@pytest.mark.parametrize("way", ["stdin", "environment", "none"])
def test_a_token_need_not_stand_on_the_command_line(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["enroll", "--data", str(tmp_path / "file"), "--server", "https://127.0.0.1:9", "--target", "x86-64"]
    token = encode_token(Operator().token())
    monkeypatch.delenv("EDGEFLEET_CLAIM_TOKEN", raising=False)
    if way == "stdin":
        monkeypatch.setattr(sys, "stdin", io.StringIO(token + "\n"))
        arguments += ["--token", "-"]
    if way == "environment":
        monkeypatch.setenv("EDGEFLEET_CLAIM_TOKEN", token)
    assert main(arguments) == 2
    # A token that was read is a good one, and the next thing that is wrong is the folder.
    code = "usage" if way == "none" else "output.unwritable"
    assert capsys.readouterr().err.startswith(f"error[{code}]: ")


def test_the_state_of_a_fresh_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, device = Operator().enrolled_folder(tmp_path / "data")
    assert main(["status", "--data", str(tmp_path / "data"), "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert (state["device"], state["state"], state["running"], state["agent"]) == (device, "idle", None, None)
    assert main(["status", "--data", str(tmp_path / "data")]) == 0
    told = capsys.readouterr().out
    assert f"device    {device}\n" in told
    assert "model     no model yet\nerror     none\nagent     not running\n" in told
    assert f"next      `edgefleet-agent run --data {tmp_path / 'data'}` starts it\n" in told
    assert "None" not in told


def test_the_state_of_a_running_agent_is_told_in_words(tmp_path: Path) -> None:
    state = {
        "device": "d-aaaaaaaaaaaaaaaa",
        "hardware": "x86-64",
        "server": "https://fleet.test",
        "state": "failed",
        "sequence": 3,
        "running": {"name": "digits", "version": "1.0.0", "digest": "c" * 64},
        "error": {"code": "agent.disk_failed", "text": "No room"},
        "agent": {"pid": 7, "serving": "http://127.0.0.1:8501"},
        "connected": False,
        "revoked": False,
        "ready": True,
        "spool": {"records": 0, "bytes": 15_200},
        "clock": {
            "source": "floor",
            "now": 1_800_000_000_000,
            "offset_ms": 500,
            "held": 1_900_000_000_000,
            "stale": True,
        },
    }
    lines = dict(line.split(maxsplit=1) for line in status.as_text(state, DataFolder(tmp_path)).splitlines())
    assert lines["model"] == "digits 1.0.0  cccccccccccc"
    assert lines["error"] == "agent.disk_failed: No room"
    assert lines["agent"] == "serves at http://127.0.0.1:8501, pid 7"
    assert (lines["ready"], lines["network"]) == ("yes", "not connected")
    assert lines["clock"] == (
        "unknown, at least 2027-01-15 08:00:00Z, +0 s from the system's; the server says 2030-03-17 17:46:40Z: see "
        "`edgefleet-agent clock confirm`; stale: nothing comes from the server"
    )
    assert lines["spool"] == "0 records waiting, 15 KB on disk"


def test_a_state_that_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = Operator().enrolled_folder(tmp_path / "data")
    for damage in (b"{", b"\xff", b'{"v":99}', b'{"state":"dancing"}'):
        Disk().write(DataFolder(folder.root).record, damage)
        assert main(["status", "--data", str(folder.root)]) == 2
        told = capsys.readouterr().err
        assert told.startswith("error[data_folder.malformed]: ")
        assert "pdate the agent" in told or str(folder.record) in told


# Files may not grow in this process: what a full disk is to the others.
_ON_A_FULL_DISK = """
import resource, sys
from edgefleet_agent.cli import main

resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
sys.exit(main(["run", "--data", sys.argv[1], "--listen", "127.0.0.1:0"]))
"""


@pytest.mark.parametrize("has_started_before", [False, True])
def test_a_start_on_a_full_disk_is_told_as_such(tmp_path: Path, has_started_before: bool) -> None:
    folder, _ = Operator().enrolled_folder(tmp_path / "data")
    if has_started_before:
        Disk().make_folder(folder.spool)
        folder.lock.touch()
    command = [sys.executable, "-c", _ON_A_FULL_DISK, str(folder.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "error[agent.disk_failed]: " in done.stderr
    assert str(folder.lock) in done.stderr


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"edgefleet-agent {agent_version()}\n"
