"""Keys of several people, made on machines of their own: the guide's commands as they stand there, and refusals."""

from __future__ import annotations

import itertools
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgefleet_contract.trust import SCHEME, Pins
from support.server_device import SimulatedDevice, root_of
from support.server_runs import Operator, Site, running_site, until
from support.tiny_bundles import tiny_bundle

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "trust.md"
SECTION = "## Two people, neither alone"
Person = Callable[[str], Operator]


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)  # the files that people hand each other
    with running_site(tmp_path, capsys) as running:
        yield running


@pytest.fixture
def person(site: Site, capsys: pytest.CaptureFixture[str]) -> Person:
    """An operator with a home of their own, at the one server."""
    return lambda name: Operator(site.folder / name, site.folder / "data", capsys)


def commands(section: str) -> list[tuple[str, list[str]]]:
    """The commands in the code blocks of a section of the guide: who types what."""
    text = GUIDE.read_text().split(section, 1)[1].split("\n## ", 1)[0]
    found, who = [], ""
    for line in "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines():
        if line.startswith("# "):
            who = line[2:]
        else:
            program, *words = shlex.split(line)
            assert program == "edgefleet"
            found.append((who, words))
    return found


def listed(operator: Operator, role: str) -> dict[str, tuple[str, bool]]:
    """Each person's key of a role, as ``key list`` tells it: what it is worth, and whether it is here."""
    return {
        key["name"]: (key["state"], key["here"])
        for key in operator.ask("key", "list")["keys"]
        if key["role"] == role
    }  # fmt: skip


def roll_out(operator: Operator, label: str) -> None:
    operator.ask("rollout", "create", "--release", label, "--to", "all", "--stage", "100%", "--probation", "200ms")


def test_the_guide_s_two_people_release_together_and_a_device_follows_their_roots(site: Site, person: Person) -> None:
    tiny_bundle(site.folder, "1.1.0", labelled=False).rename("digits-1.1.0-rpi4.efb")
    site.operator = person("Alice")
    device: SimulatedDevice | None = None
    for who, written in commands(SECTION):
        words = written
        if "$ALICES_ROOT_KEY" in written:
            shown = person(who).ask("key", "list")
            assert shown["thresholds"] == {"root": 2, "targets": 2}
            [alices] = [key["id"] for key in shown["keys"] if (key["role"], key["name"]) == ("root", "Alice")]
            words = [alices[:16] if word == "$ALICES_ROOT_KEY" else word for word in written]
        status, _, said = person(who).run(*words)
        assert status == 0, (who, words, said)
        for option, file in itertools.pairwise(words):
            if option in ("--key", "--root-key", "--targets-key"):
                assert json.loads(Path(file).read_text())["id"] in said, "to be compared with what its owner reads out"
        if words[:2] == ["key", "init"]:
            status, told = person("Alice").refused("release", "push", "digits-1.1.0-rpi4.efb")
            assert (status, told["code"]) == (3, "trust.signatures_missing"), "one is too few"
        if words[:2] == ["key", "send"] and device is None:
            device = site.device()
    assert device is not None
    roll_out(person("Alice"), "digits@1.1.0")
    until(lambda: device.running)
    assert device.memory.current.root == 3
    assert device.failures == []
    assert listed(person("Alice"), "root")["Alice"] == ("replaced", False)
    assert listed(person("Bob"), "root") == {
        "Bob": ("current", True), "Alice": ("replaced", False), "Carol": ("current", False),
    }  # fmt: skip
    assert listed(person("Bob"), "targets") == {"Bob": ("current", True), "Alice": ("current", False)}
    assert not [path for path in (site.folder / "Carol" / "keys").iterdir() if path.name.startswith("targets")]


def test_a_first_push_beside_the_file_that_came_back_completes_the_trust_root(site: Site, person: Person) -> None:
    alice, bob = person("Alice"), person("Bob")
    for role in ("root", "targets"):
        bob.ask("key", "new", role, "--out", f"{role}.pub", "--name", "Bob")
    begun = alice.ask("key", "init", "--root-key", "root.pub", "--targets-key", "targets.pub", "--root-threshold", "2")
    assert [(missing["role"], missing["count"]) for missing in begun["missing"]] == [("root", 1)]
    status, told = bob.refused("device", "token")
    assert (status, told["code"]) == (2, "input"), "his keys alone are no trust root"
    status, said, _ = bob.run("key", "sign", begun["half_signed"])
    assert status == 0
    assert "(Bob)" in said
    label = alice.ask("release", "push", str(tiny_bundle(site.folder)))["label"]
    assert label == "digits@1.0.0"
    assert bob.ask("release", "push", str(tiny_bundle(site.folder, "1.1.0")))["label"] == "digits@1.1.0"
    status, told = alice.refused("key", "init", "--root-key", "root.pub")
    assert (status, told["code"]) == (2, "conflict")
    assert "key rotate root --key" in told["remedy"]


def test_a_half_signed_root_of_others_is_not_completed_by_a_push(site: Site, person: Person) -> None:
    alice, mallory = person("Alice"), person("Mallory")
    for name, operator in (("alice", alice), ("mallory", mallory)):
        operator.ask("key", "new", "root", "--out", f"{name}.pub")
    mallory.ask("key", "init", "--root-key", "alice.pub", "--root-threshold", "2")
    alice.ask("key", "new", "targets", "--out", "targets.pub")
    planted = Path("the-first-trust-root.half-signed.json").read_bytes()
    alice.ask("key", "init")
    status, told = alice.refused("device", "token")
    assert (status, told["code"]) == (2, "conflict")
    assert "another trust root" in told["seen"]
    assert Path("the-first-trust-root.half-signed.json").read_bytes() == planted
    assert not (alice.home / "metadata.json").exists()


def test_rotations_that_make_no_sense_are_refused_and_change_nothing(site: Site, person: Person) -> None:
    alice, bob = site.operator, person("Bob")
    alice.ask("device", "token")
    before = alice.ask("key", "list")
    [mine] = [key["id"] for key in before["keys"] if key["role"] == "root"]
    for role in ("root", "targets"):
        bob.ask("key", "new", role, "--out", f"{role}.pub")
    forged = json.loads(Path("root.pub").read_text())
    Path("forged.pub").write_text(json.dumps({**forged, "id": "0" * 64}))
    Path("other.pub").write_text(json.dumps({**forged, "public": {**forged["public"], "x": 1}}))
    Path("terminal.pub").write_text(json.dumps({**forged, "name": "\x1b[2J"}))
    for code, said, *options in (
        ("conflict", "twice", "--key", "root.pub", "--key", "root.pub"),
        ("conflict", "would change", "--threshold", "1"),
        ("usage", "2 must sign", "--threshold", "2"),
        ("usage", "3 must sign", "--key", "root.pub", "--threshold", "3"),
        ("usage", "no key left", "--drop", mine),
        ("usage", "names none", "--drop", "0" * 16),
        ("usage", "names none", "--drop", mine[:4]),
        ("usage", "one role", "--key", "root.pub", "--passphrase"),
        ("usage", "one role", "targets", "--key", "root.pub"),
        ("usage", "printable", "--key", "terminal.pub"),
        ("input", "for the role 'targets'", "--key", "targets.pub"),
        ("input", "no public key", "--key", "forged.pub"),
        ("input", "no public key", "--key", "other.pub"),
        ("input", "cannot be read", "--key", "missing.pub"),
        ("input", "does not decode", "--key", str(alice.home / "keys" / f"root-{mine[:8]}.pem")),
    ):
        status, told = alice.refused("key", "rotate", "root", *options)
        assert (status, told["code"]) == (2, code), (options, told)
        assert said in told["seen"] + str(told.get("expected")), (options, told)
    assert alice.ask("key", "list") == before
    assert alice.ask("key", "rotate", "root", "--key", "root.pub")["done"]
    status, told = alice.refused("key", "rotate", "root", "--key", "root.pub")
    assert (status, told["code"]) == (2, "conflict")
    assert "there already, for root" in told["seen"]
    assert alice.ask("key", "list")["thresholds"] == {"root": 1, "targets": 1}


def test_a_rotation_leaves_the_keys_of_others_and_forgets_old_files_on_the_owner_s_word(
    site: Site, person: Person
) -> None:
    alice, bob = site.operator, person("Bob")
    alice.ask("device", "token")
    bob.ask("key", "new", "targets", "--name", "Bob", "--out", "bob.pub")
    alice.ask("key", "rotate", "targets", "--key", "bob.pub")
    done = alice.ask("key", "rotate", "targets")
    assert done["done"]
    [old] = done["powerless"]
    assert Path(old).exists(), "nobody said that it may go"
    assert listed(alice, "targets")["Bob"] == ("current", False)
    status, told = alice.refused("key", "forget")
    assert (status, told["code"]) == (2, "usage")
    assert alice.ask("key", "forget", "--yes")["forgotten"] == [old]
    assert not Path(old).exists()
    done = alice.ask("key", "rotate", "root", "--forget")
    assert (len(done["forgotten"]), done["powerless"]) == (1, [])
    status, said, _ = alice.run("key", "forget", "--yes")
    assert status == 0
    assert "nothing was removed" in said
    assert alice.ask("release", "push", str(tiny_bundle(site.folder)))["label"] == "digits@1.0.0"
    _, told = alice.refused("key", "new", "targets", "--out", "bob.pub")
    assert "a new file" in told["expected"]
    assert len(list((alice.home / "keys").glob("targets-*.pem"))) == 1, "and no key was made"


def on_a_terminal(operator: Operator, answer: bytes, *words: str) -> str:
    """What ``edgefleet WORDS`` says on stderr where stdin is a terminal on which ``answer`` is typed."""
    typed, stdin = pty.openpty()
    clean = {key: value for key, value in os.environ.items() if not key.startswith("EDGEFLEET_")}
    try:
        os.write(typed, answer)
        done = subprocess.run(
            [sys.executable, "-m", "edgefleet", *words],
            stdin=stdin, capture_output=True, text=True, timeout=60, env=clean | operator.environment, check=True,
        )  # fmt: skip
    finally:
        os.close(stdin)
        os.close(typed)
    return done.stderr


def test_on_a_terminal_the_owner_is_asked_before_a_private_key_is_removed(site: Site) -> None:
    alice = site.operator
    alice.ask("device", "token")
    [old] = [key["path"] for key in alice.ask("key", "list")["keys"] if key["role"] == "root"]
    said = on_a_terminal(alice, b"n\n", "key", "rotate", "root")
    assert f"without power: the root key {Path(old).stem.removeprefix('root-')}" in said
    assert "Remove the private files of these keys for good?" in said
    assert Path(old).exists()
    assert "Removed." in on_a_terminal(alice, b"y\n", "key", "forget")
    assert not Path(old).exists()


def test_a_new_empty_server_is_begun_over_with_one_command_and_devices_follow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = str(tiny_bundle(tmp_path, labelled=False))
    with running_site(tmp_path, capsys) as site:
        veteran = site.device()
        site.operator.ask("release", "push", bundle)
        roll_out(site.operator, "digits@1.0.0")
        until(lambda: veteran.running)
        first_root = root_of(veteran.identity.response)
    (tmp_path / "data").rename(tmp_path / "burnt")
    with running_site(tmp_path, capsys) as site:
        status, told = site.operator.refused("device", "token")
        assert (status, told["code"]) == (1, "server.online_key_lost")
        assert "edgefleet key rotate online assignment" in told["remedy"]
        for roles in (("online",), ("targets",), ("root", "assignment")):
            status, told = site.operator.refused("key", "rotate", *roles)
            assert (status, told["code"]) == (1, "server.online_key_lost"), roles
            assert len(list((site.operator.home / "keys").iterdir())) == 2, "no key was made in vain"
        assert site.operator.ask("key", "rotate", "online", "assignment")["done"]
        assert site.operator.ask("release", "push", bundle)["label"] == "digits@1.0.0", "the same, signed long ago"
        identity = site.identity()
        device = SimulatedDevice(tmp_path / identity.device, identity)
        site.devices.append(device)
        device.memory.pins = Pins(device.id, identity.hardware, SCHEME, first_root)
        device.memory.current, device.memory.kept = veteran.memory.current, veteran.memory.kept
        roll_out(site.operator, "digits@1.0.0")
        until(lambda: device.running)
        assert device.memory.current.root == 2
        assert device.failures == []


def test_two_people_begin_a_new_server_over_and_a_file_that_came_too_late_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    alice, bob = (Operator(tmp_path / name, tmp_path / "data", capsys) for name in ("Alice", "Bob"))
    with running_site(tmp_path, capsys):
        for role in ("root", "targets"):
            bob.ask("key", "new", role, "--out", f"{role}.pub", "--name", "Bob")
        begun = alice.ask(
            "key", "init", "--root-key", "root.pub", "--targets-key", "targets.pub", "--root-threshold", "2"
        )
        bob.ask("key", "sign", begun["half_signed"])
        alice.ask("key", "send", begun["half_signed"])
        late = alice.ask("key", "renew", "--within", "400d")["half_signed"]
        bob.ask("key", "sign", late)
    (tmp_path / "data").rename(tmp_path / "burnt")
    with running_site(tmp_path, capsys):
        handed = alice.ask("key", "rotate", "online", "assignment")["half_signed"]
        bob.ask("key", "sign", handed)
        assert bob.ask("key", "send", handed)["done"], "who has no copy of the metadata sends those of the file"
        status, told = alice.refused("key", "send", late)
        assert (status, told["code"]) == (2, "conflict")
        assert alice.ask("release", "push", str(tiny_bundle(tmp_path)))["label"] == "digits@1.0.0"
        renewed = bob.ask("key", "renew", "--within", "400d")["half_signed"]
        assert alice.ask("release", "push", str(tiny_bundle(tmp_path, "1.1.0")))["label"] == "digits@1.1.0"
        alice.ask("key", "sign", renewed)
        status, told = bob.refused("key", "send", renewed)
        assert (status, told["code"]) == (2, "conflict"), "the model has a newer release than the file knows"
