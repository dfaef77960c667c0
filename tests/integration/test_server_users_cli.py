"""``edgefleet user``, ``token`` and ``audit`` against a running server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edgefleet_server.cli.server import _tell_ready
from edgefleet_server.config import ServerConfig
from edgefleet_server.data_folder import admin_token_path
from support.server_people import PASSWORD
from support.server_runs import Operator, Site, running_site

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server for all tests; none of them uses a device."""
    with running_site(tmp_path_factory.mktemp("site"), None, broker="amqtt") as site:  # type: ignore[arg-type] # below
        yield site


@pytest.fixture
def site(started: Site, capsys: pytest.CaptureFixture[str]) -> Site:
    """The server, and an operator whose output this test captures."""
    return Site(started.folder, started.server, Operator(started.operator.home, started.operator.data, capsys))


def as_token(site: Site, *words: str) -> Operator:
    """An operator who has no data folder to read, and a new API token."""
    made = site.operator.ask("token", "create", "--expires", "1h", *words)
    other = Operator(site.folder / "elsewhere", site.folder / "nowhere", site.operator._capture)
    other.environment |= {"EDGEFLEET_TOKEN": made["text"], "EDGEFLEET_SERVER": site.server.addresses.console}
    return other


def test_a_user_sets_a_password_by_the_word_of_an_admin_and_signs_in(site: Site) -> None:
    status, out, err = site.operator.run("user", "add", "maria", "--role", "approver")
    assert status == 0
    link = re.search(r"http\S+/set-up\?name=maria", err)
    assert link is not None
    with httpx.Client(trust_env=False) as browser:
        assert 'value="maria"' in browser.get(link[0]).text
        form = {"name": "maria", "word": out.strip(), "password": PASSWORD}
        assert browser.post(link[0].partition("?")[0], data=form).status_code == 303
        assert browser.get(f"{site.server.addresses.console}/api/v1/me").json()["role"] == "approver"
    [shown] = [user for user in site.operator.ask("user", "list") if user["name"] == "maria"]
    assert (shown["role"], shown["has_password"], shown["disabled"]) == ("approver", True, False)
    assert site.operator.ask("user", "role", "maria", "viewer")["role"] == "viewer"
    assert site.operator.ask("user", "disable", "maria")["disabled"]
    assert not site.operator.ask("user", "enable", "maria")["disabled"]
    assert site.operator.ask("user", "password", "maria")["word"] != out.strip()
    assert "no password yet" in site.operator.run("user", "list")[1]


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("user", "add", "admin", "--role", "admin"), 2, "usage"),
        (("user", "add", "peter", "--role", "root"), 2, "usage"),
        (("user", "role", "nobody", "viewer"), 2, "not_found"),
        (("user", "disable", "a/b"), 2, "not_found"),
        (("token", "create", "--role", "viewer", "--expires", "10000d"), 2, "usage"),
        (("token", "create", "--role", "viewer", "--expires", "1d", "--scope", "everything"), 2, "usage"),
        (("token", "create", "--role", "viewer", "--expires", "1d", "--scope", "devices:write"), 2, "usage"),
        (("token", "create", "--role", "approver", "--expires", "1d", "--scope", "users:write"), 2, "usage"),
        (("token", "revoke", "0123"), 2, "not_found"),
        (("device", "list", "--server", "garbage"), 2, "usage"),
        (("audit", "verify", "--checkpoint", "7"), 2, "usage"),
        (("audit", "verify", "--file", "/nowhere/at/all"), 2, "data.not_found"),
        (("audit", "verify", "--file", "/bin/sh"), 2, "data.malformed"),
        (("audit", "verify", "--file", "/dev/null"), 2, "data.malformed"),
        (("audit", "export", "/nowhere/at/all"), 2, "output.unwritable"),
        (("device", "erase", "d-nobody"), 2, "usage"),
        (("server", "backup", "--out", "/nowhere/at/all"), 2, "output.unwritable"),
    ],
)
def test_what_cannot_be_done_is_told(site: Site, words: tuple[str, ...], status: int, code: str) -> None:
    refused = site.operator.refused(*words)
    assert (refused[0], refused[1]["code"]) == (status, code), refused


def test_a_token_does_what_it_is_for_until_it_is_revoked(site: Site) -> None:
    ci = as_token(site, "--role", "operator", "--scope", "releases:push", "--label", "CI")
    assert ci.ask("release", "list") == []
    status, error = ci.refused("device", "list")
    assert (status, error["code"]) == (4, "auth.forbidden")
    assert "devices:read" in error["seen"]
    [listed] = [token for token in site.operator.ask("token", "list") if token["label"] == "CI"]
    assert listed["id"] in ci.environment["EDGEFLEET_TOKEN"]
    assert listed["last_used"] is not None
    assert ci.environment["EDGEFLEET_TOKEN"] not in json.dumps(site.operator.ask("token", "list"))
    assert site.operator.run("token", "revoke", listed["id"])[0] == 0
    assert ci.refused("release", "list")[1]["code"] == "auth.refused"
    assert "revoked" in site.operator.run("token", "list")[1]


def test_an_operator_may_not_make_users(site: Site) -> None:
    status, error = as_token(site, "--role", "operator").refused("user", "add", "eve", "--role", "admin")
    assert (status, error["code"]) == (4, "auth.forbidden")
    assert "needs the role admin" in error["seen"]


def test_the_audit_log_is_exported_and_verified_here_and_later(site: Site, tmp_path: Path) -> None:
    site.operator.ask("user", "add", "zoe", "--role", "viewer")
    export = tmp_path / "audit.jsonl"
    checkpoint = site.operator.ask("audit", "export", str(export))["checkpoint"]
    assert site.operator.ask("audit", "verify", "--file", str(export))["checkpoint"] == checkpoint
    site.operator.ask("user", "role", "zoe", "operator")
    assert site.operator.ask("audit", "verify", "--checkpoint", checkpoint)["entries"] > int(checkpoint.split(":")[0])
    [newest] = site.operator.ask("audit", "list", "--last", "1")
    assert (newest["act"], newest["actor"], newest["origin"]) == ("user.role_changed", "admin", "127.0.0.1")
    assert "user.role_changed" in site.operator.run("audit", "list")[1]

    exported = export.read_text()
    assert site.operator.refused("audit", "export", str(export))[1]["code"] == "output.unwritable"
    assert export.read_text() == exported, "an earlier export is not written over"
    lines = [json.loads(line) for line in exported.splitlines()]
    lines[0]["actor"] = "somebody"
    write(export, lines)
    assert site.operator.refused("audit", "verify", "--file", str(export))[1]["code"] == "audit.altered"
    write(export, [{"id": 1}])
    assert site.operator.refused("audit", "verify", "--file", str(export))[1]["code"] == "data.malformed"


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_an_admin_makes_a_token_by_their_password_where_the_admin_token_is_retired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = [PASSWORD]
    monkeypatch.setattr("typer.prompt", lambda *_args, **_options: typed[0])
    with running_site(tmp_path, capsys, broker="amqtt") as site:
        site.operator.ask("user", "add", "maria", "--role", "admin")
        site.operator.ask("user", "password", "maria", "--ask")
    admin_token_path(tmp_path / "data").write_text("retired\n")
    with running_site(tmp_path, capsys, broker="amqtt") as site:
        capsys.readouterr()
        _tell_ready(site.server.addresses, ServerConfig(data=tmp_path / "data"), as_json=False)
        told = capsys.readouterr().out
        assert "retired: users sign in" in told
        assert "admin.token" not in told
        status, error = site.operator.refused("user", "list")
        assert (status, error["code"]) == (4, "auth.refused")
        assert "is retired" in str(error)
        asked = ("token", "create", "--user", "maria", "--role", "viewer", "--expires", "1h")
        site.operator.environment["EDGEFLEET_TOKEN"] = site.operator.ask(*asked)["text"]
        assert site.operator.ask("device", "list") == []
        del site.operator.environment["EDGEFLEET_TOKEN"]
        typed[0] = "another password than hers"
        status, error = site.operator.refused(*asked)
        assert (status, error["code"]) == (4, "auth.refused")
        assert "name or the password" in str(error)


def test_a_password_is_not_sent_in_the_clear_beyond_this_machine(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.prompt", lambda *_args, **_options: PASSWORD)
    stranger = Operator(site.folder / "elsewhere", site.folder / "nowhere", site.operator._capture)
    elsewhere = ("--server", "http://fleet.invalid:8080")
    asked = ("token", "create", "--user", "maria", "--role", "viewer", "--expires", "1h", *elsewhere)
    status, error = stranger.refused(*asked)
    assert (status, error["code"]) == (2, "usage")
    assert "in the clear" in str(error)
