"""``release withdraw`` as an operator uses it: real commands at a real server, and devices that follow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server_runs import Site, running_site, until
from support.tiny_bundles import tiny_bundle


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    with running_site(tmp_path, capsys) as running:
        yield running


def push(site: Site, version: str) -> str:
    return str(site.operator.ask("release", "push", str(tiny_bundle(site.folder, version, labelled=False)))["label"])


def roll_out(site: Site, label: str) -> None:
    site.operator.ask("rollout", "create", "--release", label, "--to", "all", "--stage", "100%", "--probation", "200ms")


def test_a_withdrawn_release_is_taken_by_nobody_and_named_where_it_runs(site: Site) -> None:
    device, operator = site.device(), site.operator
    roll_out(site, push(site, "1.0.0"))
    until(lambda: device.running)
    until(lambda: operator.ask("rollout", "list")[0]["state"] == "finished")

    status, error = operator.refused("release", "withdraw", "digits@1.0.0")
    assert (status, error["code"]) == (2, "usage"), "nobody is there to ask"
    status, error = operator.refused("release", "withdraw", "digits@2.0.0", "--yes")
    assert (status, error["code"]) == (2, "not_found")
    done = operator.ask("release", "withdraw", "digits@1.0.0", "--yes")
    assert (done["done"], done["running_on"]) == (True, [device.id])

    status, error = operator.refused("rollout", "create", "--release", "digits@1.0.0", "--to", "all")
    assert (status, error["code"]) == (2, "conflict")
    _, said, _ = operator.run("release", "list")
    assert "yes; runs on 1" in said
    _, said, _ = operator.run("release", "show", "digits@1.0.0")
    assert device.id in said
    before = device.running
    roll_out(site, push(site, "1.1.0"))
    until(lambda: device.running != before)
    until(lambda: operator.ask("release", "show", "digits@1.0.0")["running_on"] == [])
    assert device.failures == []
    acts = [entry["act"] for entry in operator.ask("audit", "list")]
    assert "release.withdrawn" in acts


def test_new_keys_sign_nothing_again_before_their_owner_has_seen_what(site: Site) -> None:
    operator = site.operator
    operator.ask("key", "init")
    operator.ask("key", "init", "--model", "digits")
    status, error = operator.refused("key", "rotate", "model/digits")
    assert (status, error["code"]) == (2, "conflict"), "there is no trust root yet"
    push(site, "1.0.0")
    push(site, "6.6.6")
    own = (operator.home / "keys.json").read_bytes()
    status, _, said = operator.run("key", "rotate", "model/digits")
    assert status == 2
    assert "digits@1.0.0, digits@6.6.6" in " ".join(said.split())
    assert (operator.home / "keys.json").read_bytes() == own, "no key is made before"
    done = operator.ask("key", "rotate", "model/digits", "--yes")
    assert done["signed_again"] == ["digits@1.0.0", "digits@6.6.6"]
    status, _, said = operator.run("key", "rotate", "targets")
    assert status == 2
    assert "digits has keys of its own" in " ".join(said.split())
    assert operator.ask("key", "rotate", "targets", "--yes")["signed_again"] == []
    assert operator.ask("release", "withdraw", "digits@6.6.6", "--yes")["done"]
    push(site, "1.1.0")
    for roles in (("model/digits", "targets"), ("model/",), ("model/a/b",)):
        status, error = operator.refused("key", "rotate", *roles)
        assert (status, error["code"]) == (2, "usage"), roles
    status, error = operator.refused("key", "rotate", "model/other")
    assert (status, error["code"]) == (2, "not_found")
