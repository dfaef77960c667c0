"""Whoever tampers with the files that key holders hand each other: public keys, and half-signed trust roots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgefleet_contract.errors import InputError
from edgefleet_server.publisher import public_keys
from edgefleet_server.publisher.publisher import Publisher
from support.server_runs import Operator, running_site

pytestmark = pytest.mark.attack


def test_one_key_under_two_ids_is_not_two_keys(tmp_path: Path) -> None:
    """One person who passes for two would meet a threshold of two alone."""
    path = tmp_path / "root.pub"
    public_keys.write(path, Publisher(tmp_path / "home").keyring.new("root", "Mallory"))
    told = json.loads(path.read_text())
    assert public_keys.read(path, "root").id == told["id"]
    public = told["public"]
    for forged in (
        {**told, "id": "ab" * 32},
        {**told, "public": {**public, "keyval": {"public": public["keyval"]["public"].upper()}}},
        {**told, "public": {**public, "note": "another"}},
    ):
        path.write_text(json.dumps(forged))
        with pytest.raises(InputError, match="is no public key"):
            public_keys.read(path, "root")


def test_a_planted_trust_root_is_not_completed_by_who_begins_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half-signed root that names Mallory beside Alice lies where Alice makes her first claim token."""
    monkeypatch.chdir(tmp_path)
    with running_site(tmp_path, capsys) as site:
        alice, mallory = site.operator, Operator(tmp_path / "mallory", tmp_path / "data", capsys)
        alice.ask("key", "init")
        keyring = Publisher(alice.home).keyring
        for role in ("root", "targets"):
            public_keys.write(tmp_path / f"{role}.pub", keyring.of(role)[0])
        planted = mallory.ask("key", "init", "--root-key", "root.pub", "--root-threshold", "2")["half_signed"]
        before = Path(planted).read_bytes()
        status, _, _ = alice.run("device", "token")
        assert status == 2
        assert not (alice.home / "metadata.json").exists()
        assert Path(planted).read_bytes() == before
