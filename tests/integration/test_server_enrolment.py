"""Enrolment over HTTPS with the agent's own command, and everything that must not enroll."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgefleet_contract import enrolment, keys
from edgefleet_contract.errors import TokenRefused
from support.ports import free_port
from support.server_device import ask
from support.server_runs import Operator, Site, running_site

pytestmark = pytest.mark.integration


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    with running_site(tmp_path, capsys) as started:
        yield started


def enroll(site: Site, token: str, name: str = "agent", url: str | None = None) -> tuple[int, dict[str, Any]]:
    """Exit status and JSON of ``edgefleet agent enroll``."""
    status, out, _ = site.operator.run(
        "agent", "enroll", "--server", url or site.server.addresses.devices, "--token", token,
        "--data", str(site.folder / name), "--target", "x86-64", "--json",
    )  # fmt: skip
    document: dict[str, Any] = json.loads(out)
    return status, document


def test_a_new_user_enrolls_a_device_with_two_commands(site: Site) -> None:
    token = site.operator.ask("device", "token", "--tag", "site=south", "--expires", "1h")
    status, enrolled = enroll(site, token["token"])
    assert status == 0
    [device] = site.operator.ask("device", "list")
    assert (device["id"], device["hardware"], device["tags"]) == (enrolled["device"], "x86-64", {"site": "south"})
    assert device["state"] == "idle"


@pytest.mark.attack
def test_tokens_that_are_used_expired_or_malformed_open_nothing(site: Site) -> None:
    word = site.operator.ask("device", "token")["token"]
    assert enroll(site, word)[0] == 0
    status, document = enroll(site, word, "second")
    assert "error" in document
    assert (status, document["error"]["code"]) == (4, "token.refused")
    assert "used already" in document["error"]["seen"]

    parsed = enrolment.decode_token(site.operator.ask("device", "token", "--expires", "1m")["token"])
    guessed = enrolment.encode_token(msgspec.structs.replace(parsed, secret="0" * 43))
    for number, malformed in enumerate((guessed, word[:-20], word[5:], "eft1.", "hello", word.replace("A", "?"))):
        status, document = enroll(site, malformed, f"bad-{number}")
        assert (status, document["error"]["code"]) == (4, "token.refused"), malformed

    assert len(site.operator.ask("device", "list")) == 1
    assert not any((site.folder / f"bad-{number}" / "identity" / "card.json").exists() for number in range(6))


@pytest.mark.attack
def test_a_token_of_another_fleet_is_refused_before_its_secret_leaves(site: Site) -> None:
    parsed = enrolment.decode_token(site.operator.ask("device", "token")["token"])
    for field in ("authority", "root"):
        foreign = enrolment.encode_token(msgspec.structs.replace(parsed, **{field: "0" * 64}))
        status, document = enroll(site, foreign, field)
        assert (status, document["error"]["code"]) == (4, "identity.mismatch"), field


def test_a_server_that_is_not_there_is_told(site: Site) -> None:
    word = site.operator.ask("device", "token")["token"]
    status, document = enroll(site, word, url=f"https://127.0.0.1:{free_port()}")
    assert (status, document["error"]["code"]) == (5, "server.unreachable")


def test_an_operator_without_a_server_is_told_and_no_keys_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = Operator(tmp_path / "home", tmp_path / "data", capsys)
    operator.environment["EDGEFLEET_SERVER"] = f"http://127.0.0.1:{free_port()}"
    for words in (("device", "token"), ("device", "list"), ("release", "list"), ("rollout", "show", "r1"),
                  ("alert", "ack", "1"), ("drift", "show")):  # fmt: skip
        status, error = operator.refused(*words)
        assert (status, error["code"]) == (5, "server.unreachable"), words
    assert not (tmp_path / "home").exists()


def test_something_else_that_answers_is_not_taken_for_a_server(site: Site) -> None:
    site.operator.environment["EDGEFLEET_SERVER"] = site.server.addresses.devices.replace("https", "http")
    status, error = site.operator.refused("device", "list")
    assert (status, error["code"]) == (5, "server.unreachable")


def test_a_wrong_admin_token_is_refused(site: Site) -> None:
    site.operator.environment["EDGEFLEET_TOKEN"] = "guessed"
    status, error = site.operator.refused("device", "list")
    assert (status, error["code"]) == (4, "auth.refused")


def test_another_publisher_cannot_take_the_fleet_over(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.operator.ask("device", "token")
    other = Operator(site.folder / "other-home", site.folder / "data", capsys)
    status, error = other.refused("device", "token")
    assert (status, error["code"]) == (2, "conflict")
    assert "trust root" in error["seen"]


def test_an_answer_that_was_lost_can_be_asked_for_again(site: Site) -> None:
    word = site.operator.ask("device", "token")["token"]
    token, key = enrolment.decode_token(word), keys.generate_device_key()
    url, authority = site.server.addresses.devices, (site.folder / "data" / "ca" / "authority.pem").read_text()
    first = ask(url, authority, token, key)
    assert ask(url, authority, token, key) == first
    with pytest.raises(TokenRefused):
        ask(url, authority, token, keys.generate_device_key())
