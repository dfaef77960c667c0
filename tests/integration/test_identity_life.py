"""The life of an identity with the real server, broker and agent: renewed, held in hardware, taken in, ended."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgefleet_agent import identity
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Identity
from edgefleet_server.clock import HOUR, system_clock
from support.agent_broker import AgentProcess, run_command
from support.server_runs import Site, running_site, until
from support.softhsm import MODULE, make_token

pytestmark = pytest.mark.integration


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    with running_site(tmp_path, capsys) as started:
        yield started


def agent_command(*words: object, exit_status: int = 0) -> Any:
    """The JSON of ``edgefleet-agent WORDS``."""
    done = run_command(*words, "--json")
    assert done.returncode == exit_status, done.stderr
    return json.loads(done.stdout)


def enroll(site: Site, name: str, *options: str) -> DataFolder:
    token = site.operator.ask("device", "token")
    folder = site.folder / name
    agent_command(
        "enroll", "--server", token["server"], "--token", token["token"], "--data", folder, "--target", "x86-64",
        *options,
    )  # fmt: skip
    return DataFolder(folder)


def sql(site: Site, statement: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(site.folder / "data" / "edgefleet.db", timeout=30)) as database, database:
        return database.execute(statement, values).fetchall()


def make_due(site: Site, folder: DataFolder) -> None:
    """Two thirds of the certificate's life have passed."""
    card = Identity(folder).card
    identity.save_card(Disk(), folder, msgspec.structs.replace(card, renew_at=1))
    sql(site, "UPDATE certificates SET issued_at = issued_at - ? WHERE device_id = ?", 2 * HOUR, card.device)


def test_a_device_renews_by_itself_goes_on_and_ends(site: Site) -> None:
    folder = enroll(site, "agent")
    device = Identity(folder).card.device
    make_due(site, folder)
    agent = AgentProcess(folder.root)
    try:
        until(lambda: Identity(folder).card.generation == 2)
        until(lambda: sql(site, "SELECT COUNT(*) FROM certificates WHERE revoked_at IS NOT NULL") == [(1,)])
        [(previous, state)] = sql(site, "SELECT previous_key, standing FROM devices")
        assert (previous, state) == (None, "active"), "the new key is in use, and the old one over"
        seen = site.operator.ask("device", "show", device)
        until(lambda: site.operator.ask("device", "show", device)["last_seen"] is not None)
        assert seen["certificate_expires"] > 0

        site.operator.ask("device", "revoke", device, "--yes")
        reports = sql(site, "SELECT n FROM twins")
        make_due(site, folder)
        renewal = subprocess.run(
            [sys.executable, "-P", "-m", "edgefleet_agent.renewal", str(folder.root), str(system_clock())],
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert (renewal.returncode, json.loads(renewal.stdout)["code"]) == (4, "identity.revoked")
        assert sql(site, "SELECT n FROM twins") == reports
    finally:
        agent.kill()
    until(lambda: sql(site, "SELECT cleared_at FROM devices")[0][0] is not None)

    retired = site.operator.ask("device", "retire", device, "--yes")
    assert (retired["state"], retired["changed"]) == ("retired", True)
    assert not site.operator.ask("device", "retire", device, "--yes")["changed"]
    assert [found["state"] for found in site.operator.ask("device", "list")] == ["retired"]
    assert site.operator.refused("device", "token", "--device", device)[1]["code"] == "conflict"


def test_a_device_comes_back_with_one_token(site: Site) -> None:
    folder = enroll(site, "agent")
    device = Identity(folder).card.device
    sql(site, "UPDATE devices SET certificate_expires = 1")
    make_due(site, folder)
    token = site.operator.ask("device", "token", "--device", device)
    again = ("enroll", "--again", "--token", token["token"], "--data", folder.root)
    assert agent_command(*again)["device"] == device
    assert agent_command(*again, exit_status=4)["error"]["code"] == "token.refused"
    agent = AgentProcess(folder.root)
    try:
        until(lambda: site.operator.ask("device", "show", device)["last_seen"] is not None)
    finally:
        agent.kill()
    assert len(site.operator.ask("device", "list")) == 1


def test_a_key_in_hardware_signs_and_never_leaves_it(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_token(tmp_path, "edge", "1234", monkeypatch)
    (tmp_path / "pin").write_text("1234\n")
    place = f"pkcs11:token=edge;object=identity?module-path={MODULE}&pin-source={tmp_path / 'pin'}"
    folder = enroll(site, "agent", "--key", place)
    device = Identity(folder).card.device
    make_due(site, folder)
    agent = AgentProcess(folder.root)
    try:
        until(lambda: Identity(folder).card.generation == 2)
        until(lambda: sql(site, "SELECT COUNT(*) FROM twins WHERE boot IS NOT NULL") == [(1,)])
        shown = site.operator.ask("device", "show", device)
    finally:
        agent.kill()
    assert shown["key_in_hardware"]
    [(key,)] = sql(site, "SELECT public_key FROM devices")
    assert key not in {row[0] for row in sql(site, "SELECT key FROM certificates")}, "TLS has keys of its own"
    assert b"1234" not in (folder.identity / "card.json").read_bytes()


def test_a_batch_takes_in_what_is_on_its_list(site: Site) -> None:
    allowed = site.folder / "serials.txt"
    allowed.write_text("# line 7\nSN-1\nSN-2  # spare\n")
    made = site.operator.ask(
        "device", "batch", "create", "--name", "line-7", "--count", "5", "--expires", "30d", "--allow", str(allowed),
        "--tag", "line=7", "--out", str(site.folder / "claim"),
    )  # fmt: skip
    claim = ("--claim", made["out"], "--target", "x86-64")
    one = agent_command("enroll", *claim, "--data", site.folder / "one", "--serial", "sn-1")
    refused = agent_command("enroll", *claim, "--data", site.folder / "two", "--serial", "SN-9", exit_status=4)
    assert refused["error"]["code"] == "batch.refused"
    assert not (site.folder / "two").exists()
    [device] = site.operator.ask("device", "list")
    assert (device["id"], device["tags"]) == (one["device"], {"line": "7"})
    assert site.operator.ask("device", "batch", "close", "--name", "line-7")["taken"] == 1
    assert [batch["taken"] for batch in site.operator.ask("device", "batch", "list")] == [1]
    closed = agent_command("enroll", *claim, "--data", site.folder / "two", "--serial", "SN-2", exit_status=4)
    assert "closed" in closed["error"]["seen"]


def test_what_cannot_be_taken_back_is_asked_first(site: Site) -> None:
    folder = enroll(site, "agent")
    device = Identity(folder).card.device
    for words in (("revoke", device), ("retire", device), ("replace", device, device)):
        status, error = site.operator.refused("device", *words)
        assert (status, error["code"]) == (2, "usage"), words
    assert site.operator.ask("device", "show", device)["state"] == "idle"
