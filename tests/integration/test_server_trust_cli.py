"""Keys as an operator handles them: real commands at a real server, and a device that judges what comes of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgefleet_contract import canonical
from edgefleet_server.publisher.publisher import Publisher
from support.server_device import SimulatedDevice, confirms, enroll
from support.server_runs import Operator, Site, running_site, until
from support.tiny_bundles import tiny_bundle


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)  # half-signed files are written where the operator is
    with running_site(tmp_path, capsys) as running:
        yield running


def roll_out(site: Site, label: str) -> str:
    options = ("--to", "all", "--stage", "100%", "--probation", "200ms")
    return str(site.operator.ask("rollout", "create", "--release", label, *options)["id"])


def test_a_first_run_makes_keys_says_which_to_take_offline_and_goes_on_without_the_root(site: Site) -> None:
    status, _, said = site.operator.run("device", "token")
    assert status == 0
    assert "Take root-*.pem offline" in said
    roles = {key["role"]: key for key in site.operator.ask("key", "list")["keys"]}
    assert set(roles) == {"root", "targets"}
    Path(roles["root"]["path"]).unlink()
    assert site.operator.ask("release", "push", str(tiny_bundle(site.folder)))["label"] == "digits@1.0.0"
    listed = {key["role"]: key["here"] for key in site.operator.ask("key", "list")["keys"]}
    assert listed == {"root": False, "targets": True}
    rotation = site.operator.ask("key", "rotate", "online")
    assert not rotation["done"]
    assert [(missing["role"], missing["count"]) for missing in rotation["missing"]] == [("root", 1)] * 2


def test_stolen_server_keys_are_replaced_while_the_fleet_runs(site: Site) -> None:
    device = site.device()
    label = site.operator.ask("release", "push", str(tiny_bundle(site.folder, labelled=False)))["label"]
    roll_out(site, label)
    until(lambda: device.running)
    assert site.operator.ask("key", "rotate", "online", "assignment")["done"]
    until(lambda: device.memory.current.root == 2 and len(device.sequences) == 2)
    assert site.operator.ask("key", "rotate", "root", "targets", "--yes")["done"]
    label = site.operator.ask("release", "push", str(tiny_bundle(site.folder, "1.1.0", labelled=False)))["label"]
    before = device.running
    roll_out(site, label)
    until(lambda: device.running != before)
    assert device.failures == []
    assert not site.operator.ask("key", "renew")["done"], "a year is not over"
    assert site.operator.ask("key", "renew", "--within", "366d")["done"]


@pytest.mark.attack
def test_devices_without_an_assignment_follow_new_keys_too(site: Site) -> None:
    token = site.operator.ask("device", "token")
    early = site.device()
    assert site.operator.ask("key", "rotate", "assignment")["done"]
    identity = enroll(token["server"], token["token"])
    late = SimulatedDevice(site.folder / identity.device, identity)
    site.devices.append(late)
    for device in (early, late):
        until(lambda device=device: device.memory.current.root == 2)
        device.report("idle")
        device.wait_ack("reported", device.n)
        assert (device.sequences, device.failures) == ([], [])


def test_two_people_release_together_and_permit_together(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    alice = site.operator
    thresholds = ("--root-keys", "2", "--root-threshold", "2", "--targets-keys", "2", "--targets-threshold", "2")
    alice.ask("key", "init", *thresholds)
    device = site.device()
    bob = Operator(site.folder / "bob", site.folder / "data", capsys)
    shutil.copytree(alice.home, bob.home)
    for role in ("root", "targets"):
        mine, theirs = Publisher(alice.home).keyring.of(role)
        Path(Publisher(alice.home).keyring.where(theirs)).unlink()
        Path(Publisher(bob.home).keyring.where(mine)).unlink()

    for version in ("1.0.0", "1.1.0"):
        bundle = str(tiny_bundle(site.folder, version, labelled=False))
        handed = alice.ask("release", "push", bundle)["half_signed"]
        assert alice.ask("release", "push", bundle, "--signed", handed)["half_signed"] == handed, "one is too few"
        status, said, _ = bob.run("key", "sign", handed)
        assert status == 0
        assert f"releases digits {version} for x86-64" in said
        assert bob.ask("release", "push", bundle, "--signed", handed)["label"] == f"digits@{version}"

    roll_out(site, "digits@1.1.0")
    until(lambda: site.rollout("r1")["state"] == "finished")
    options = ("--to", "all", "--stage", "100%")
    status, error = alice.refused("rollout", "create", "--release", "digits@1.0.0", *options)
    assert (status, error["code"]) == (2, "conflict")
    asked = ("release", "permit", "--release", "digits@1.0.0", "--device", device.id)
    status, error = alice.refused(*asked)
    assert error["code"] == "trust.signatures_missing"
    [permit] = error["facts"]["files"]
    assert bob.ask("key", "sign", permit)["missing"] == []
    assert bob.ask(*asked, "--signed", permit)[0]["devices"] == [device.id]
    newest = device.running
    roll_out(site, "digits@1.0.0")
    until(lambda: device.running != newest)
    assert device.failures == []


def test_a_rotation_says_which_permits_ended_with_the_key_and_how_to_give_them_again(site: Site) -> None:
    operator, device = site.operator, site.identity().device
    operator.ask("release", "push", str(tiny_bundle(site.folder)))
    asked = ("release", "permit", "--release", "digits@1.0.0", "--device", device)
    status, error = operator.refused(*asked, "--expires", "1000d")
    assert (status, error["code"]) == (2, "usage"), "nothing was signed"
    operator.ask(*asked)
    assert operator.ask("key", "rotate", "root")["lapsed_permits"] == []
    status, _, said = operator.run("key", "rotate", "targets", "--yes")
    assert status == 0
    assert "signed again if wanted: 1" in said
    assert f"edgefleet {' '.join(asked)}" in " ".join(said.split())
    assert "lapsed" in operator.run("release", "permits")[1]
    operator.ask(*asked)
    assert [given["state"] for given in operator.ask("release", "permits")] == ["in force", "replaced"]


def test_a_push_says_when_its_label_is_lower_than_one_before(site: Site) -> None:
    said = {}
    for version in ("1.9.0", "1.10.0", "1.9.1"):
        status, _, said[version] = site.operator.run("release", "push", str(tiny_bundle(site.folder, version)))
        assert status == 0
    assert "lower label" not in said["1.9.0"] + said["1.10.0"]
    assert "digits@1.9.1 has a lower label than digits@1.10.0" in said["1.9.1"]
    status, _, again = site.operator.run("release", "push", str(tiny_bundle(site.folder, "1.9.0")))
    assert status == 0
    assert "lower label" not in again


def test_an_operator_without_the_keys_is_refused_and_nothing_is_made(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.operator.ask("device", "token")
    stranger = Operator(site.folder / "stranger", site.folder / "data", capsys)
    for words in (("device", "token"), ("release", "push", str(tiny_bundle(site.folder))), ("key", "rotate", "root")):
        status, error = stranger.refused(*words)
        assert (status, error["code"]) == (2, "conflict"), words
    assert not stranger.home.exists()
    status, error = site.operator.refused("key", "rotate", "everything")
    assert (status, error["code"]) == (2, "usage")
    own = (site.operator.home / "metadata.json").read_bytes()
    assert canonical.sha256(own)


def test_a_server_that_lost_its_keys_says_so_and_is_given_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with running_site(tmp_path, capsys) as site:
        identity = site.identity()
        site.operator.ask("release", "push", str(tiny_bundle(site.folder, labelled=False)))
    shutil.rmtree(tmp_path / "data" / "keys")
    with running_site(tmp_path, capsys) as site:
        told = until(lambda: [alert for alert in site.operator.ask("alert", "list") if alert["kind"] == "trust"])
        assert "edgefleet key rotate" in told[0]["text"]
        roll_out(site, "digits@1.0.0")
        status, error = site.operator.refused("release", "push", str(tiny_bundle(site.folder, "1.1.0")))
        assert (status, error["code"]) == (1, "server.online_key_lost")
        assert site.operator.ask("key", "rotate", "online", "assignment")["done"]
        device = SimulatedDevice(tmp_path / identity.device, identity, confirms)
        site.devices.append(device)
        until(lambda: device.running)
        assert device.failures == []
        assert until(lambda: not [alert for alert in site.operator.ask("alert", "list") if alert["kind"] == "trust"])
