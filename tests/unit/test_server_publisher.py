"""The publisher: keys in files and tokens, thresholds among several people, and a copy that no server can age."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgefleet_contract.errors import (
    Conflict,
    InputError,
    SignatureInvalid,
    StatementMalformed,
    UsageMalformed,
    VerificationError,
)
from edgefleet_server.clock import DAY, HOUR
from edgefleet_server.publisher import draft as drafting
from edgefleet_server.publisher import public_keys
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.publisher.role_change import RoleChange
from edgefleet_server.publisher.statement import StatedRelease, state_release
from edgefleet_server.trust.online_keys import OnlineKeys
from edgefleet_server.trust.repository import Repository
from edgefleet_server.trust.server_keys import ServerKeys
from support.server_state import NOON
from support.softhsm import make_token
from support.tiny_bundles import tiny_bundle


@pytest.fixture
def server(tmp_path: Path) -> ServerKeys:
    (tmp_path / "server").mkdir()
    return OnlineKeys(tmp_path / "server").public(None)


@pytest.fixture
def publisher(tmp_path: Path, server: ServerKeys) -> Publisher:
    return begun(Publisher(tmp_path / "home"), server)


@pytest.fixture
def stated(tmp_path: Path) -> StatedRelease:
    return state_release([tiny_bundle(tmp_path)], NOON)


def begun(publisher: Publisher, server: ServerKeys) -> Publisher:
    publisher.ensure()
    publisher.keep(publisher.first(server, NOON).grown())
    return publisher


def released(publisher: Publisher, stated: StatedRelease) -> Repository:
    publisher.keep(publisher.release(publisher.repository(), stated, NOON).grown())
    return publisher.repository()


def test_a_release_is_one_role_s_next_version_and_nothing_else(publisher: Publisher, tmp_path: Path) -> None:
    assert list(publisher.release(publisher.repository(), state_release([tiny_bundle(tmp_path)], NOON), NOON).new) == [
        "2.targets.json",
        "1.digits.json",
    ]
    released(publisher, state_release([tiny_bundle(tmp_path)], NOON))
    again = publisher.release(publisher.repository(), state_release([tiny_bundle(tmp_path, "1.1.0")], NOON), NOON)
    assert list(again.new) == ["2.digits.json"]
    assert publisher.release(publisher.repository(), state_release([tiny_bundle(tmp_path)], NOON), NOON).new == {}
    other = state_release([tiny_bundle(tmp_path, compiled=0.5)], NOON)
    with pytest.raises(Conflict, match="A version never changes"):
        publisher.release(publisher.repository(), other, NOON)


def test_releases_are_ordered_even_when_the_clock_went_back(publisher: Publisher, tmp_path: Path) -> None:
    released(publisher, state_release([tiny_bundle(tmp_path)], NOON))
    back = NOON - HOUR
    late = publisher.release(
        publisher.repository(), state_release([tiny_bundle(tmp_path, "1.1.0")], back), back
    ).grown()
    role = late.model("digits")
    assert role is not None
    assert [file.custom["issued"] for file in role.targets.values() if file.custom] == [NOON, NOON + 1]


def test_a_clock_that_lags_far_behind_the_releases_of_before_signs_nothing(
    publisher: Publisher, tmp_path: Path
) -> None:
    released(publisher, state_release([tiny_bundle(tmp_path)], NOON))
    back = NOON - 2 * DAY
    with pytest.raises(Conflict, match="clock"):
        publisher.release(publisher.repository(), state_release([tiny_bundle(tmp_path, "1.1.0")], back), back)


@pytest.mark.parametrize("name", ["root", "targets", "snapshot", "timestamp"])
def test_a_model_cannot_be_called_as_a_role_of_the_repository(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageMalformed, match="TUF's own"):
        state_release([tiny_bundle(tmp_path, name=name)], NOON)


def test_a_short_passphrase_is_not_taken_for_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEFLEET_PASSPHRASE", "sesame seeds"[:11])
    with pytest.raises(InputError, match="11 characters"):
        Publisher(tmp_path / "home").keyring.make({"root": 1}, {"root": 1}, passphrase=True)
    assert not (tmp_path / "home" / "keys.json").exists()


def test_a_key_that_others_can_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [key] = Publisher(tmp_path / "home").keyring.make({"root": 1}, {"root": 1})
    assert Publisher(tmp_path / "home").keyring.signer(key.id) is not None
    assert capsys.readouterr().err == ""
    (tmp_path / "home" / "keys" / key.place).chmod(0o644)
    assert Publisher(tmp_path / "home").keyring.signer(key.id) is not None
    assert "chmod 600" in capsys.readouterr().err


def test_keys_behind_a_passphrase_open_with_it_alone(
    tmp_path: Path, server: ServerKeys, stated: StatedRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEFLEET_PASSPHRASE", "open sesame, please")
    Publisher(tmp_path / "home").keyring.make({"root": 1, "targets": 1}, {"root": 1, "targets": 1}, passphrase=True)
    for file in (tmp_path / "home" / "keys").iterdir():
        assert b"ENCRYPTED" in file.read_bytes()
        assert file.stat().st_mode & 0o777 == 0o600
    released(begun(Publisher(tmp_path / "home"), server), stated)
    monkeypatch.setenv("EDGEFLEET_PASSPHRASE", "open barley")
    wrong = Publisher(tmp_path / "home")
    with pytest.raises(InputError, match="EDGEFLEET_PASSPHRASE"):
        wrong.renewal(wrong.repository(), NOON * 2, NOON)
    monkeypatch.delenv("EDGEFLEET_PASSPHRASE")
    with pytest.raises(InputError, match="no terminal"):
        Publisher(tmp_path / "home").renewal(wrong.repository(), NOON * 2, NOON)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A token of SoftHSM in a folder of its own."""
    monkeypatch.setenv("EDGEFLEET_PKCS11_PIN", "2468")
    make_token(tmp_path, "fleet", "2468", monkeypatch)
    return "pkcs11:token=fleet;object=signing"


def test_keys_of_a_token_sign_and_never_leave_it(
    tmp_path: Path, server: ServerKeys, stated: StatedRelease, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Publisher(tmp_path / "home")
    made.keyring.make({"root": 1, "targets": 1}, {"root": 1, "targets": 1}, token=token)
    assert list((tmp_path / "home" / "keys").iterdir()) == []
    assert all(key.place.startswith("pkcs11:token=fleet;object=signing-") for key in made.keyring.all())
    released(begun(made, server), stated)
    later = Publisher(tmp_path / "home")
    assert later.repository().root.keys[later.keyring.of("root")[0].id].scheme == "ecdsa-sha2-nistp256"
    later.keep(later.rotation(later.repository(), ["targets"], server, [], NOON).grown())
    for variable, value, said in (
        ("EDGEFLEET_PKCS11_PIN", "0000", "PIN"),
        ("SOFTHSM2_CONF", str(tmp_path / "nothing"), "cannot be used"),
    ):
        monkeypatch.setenv(variable, value)
        without = Publisher(tmp_path / "home")
        with pytest.raises(InputError, match=said):
            without.renewal(without.repository(), NOON * 2, NOON)


def test_a_key_of_a_token_that_is_elsewhere_is_brought_in_by_its_public_part(
    publisher: Publisher, tmp_path: Path, server: ServerKeys, token: str
) -> None:
    colleague = Publisher(tmp_path / "colleague")
    public_keys.write(tmp_path / "theirs.pub", colleague.keyring.new("targets", "Carol", token=token))
    theirs = public_keys.read(tmp_path / "theirs.pub", "targets")
    change = RoleChange(add=[theirs], drop=[publisher.keyring.of("targets")[0].id[:8]])
    draft = publisher.rotation(publisher.repository(), ["targets"], server, [], NOON, change=change)
    assert [missing.keys for missing in draft.missing()] == [[theirs.id]]
    handed = hand(draft)
    colleague.sign(handed)
    publisher.keep(handed.grown())
    assert [key.role for key in publisher.powerless()] == ["targets"]
    assert publisher.keyring.names() == {theirs.id: "Carol"}


@pytest.mark.parametrize("uri", ["", "token=x", "pkcs11:", "pkcs11:object=y", "file:x"])
def test_what_is_no_uri_of_a_token_is_told(tmp_path: Path, uri: str) -> None:
    from edgefleet_server.publisher.token_uris import parse_uri

    with pytest.raises(UsageMalformed, match="pkcs11:token="):
        parse_uri(uri)


@pytest.fixture
def two_people(tmp_path: Path, server: ServerKeys) -> tuple[Publisher, Publisher]:
    """Both keys of each role are made on one machine; then each person keeps one of them."""
    first = Publisher(tmp_path / "alice")
    first.keyring.make({"root": 2, "targets": 2}, {"root": 2, "targets": 2})
    begun(first, server)
    shutil.copytree(tmp_path / "alice", tmp_path / "bob")
    second = Publisher(tmp_path / "bob")
    for role in ("root", "targets"):
        here, there = first.keyring.of(role)
        Path(first.keyring.where(there)).unlink()
        Path(second.keyring.where(here)).unlink()
    return Publisher(tmp_path / "alice"), second


def hand(draft: drafting.Draft) -> drafting.Draft:
    """The way of a draft through a file."""
    return drafting.decode(draft.encode())


@pytest.mark.parametrize(
    "begin",
    [
        lambda publisher, stated, server: publisher.release(publisher.repository(), stated, NOON),
        lambda publisher, stated, server: publisher.renewal(publisher.repository(), NOON * 2, NOON),
        lambda publisher, stated, server: publisher.rotation(publisher.repository(), [], server, ["online"], NOON),
        lambda publisher, stated, server: publisher.rotation(publisher.repository(), ["targets"], server, [], NOON),
    ],
    ids=["release", "renewal", "rotation of online", "rotation of targets"],
)
def test_two_people_sign_one_after_the_other(
    two_people: tuple[Publisher, Publisher],
    stated: StatedRelease,
    server: ServerKeys,
    begin: Callable[[Publisher, StatedRelease, ServerKeys], drafting.Draft],
) -> None:
    alice, bob = two_people
    draft = begin(alice, stated, server)
    assert draft.missing()
    with pytest.raises(SignatureInvalid):
        draft.grown()
    handed = hand(draft)
    assert bob.sign(handed)
    assert bob.sign(handed) == 0, "one person signs once"
    assert hand(handed).missing() == []
    bob.keep(hand(handed).grown())


def test_a_file_from_elsewhere_is_verified_before_anything_is_signed(
    publisher: Publisher, stated: StatedRelease
) -> None:
    whole = publisher.release(publisher.repository(), stated, NOON).encode()
    for content in (b"", b"{}", whole[:-10], whole.replace(b'\\"threshold\\":1', b'\\"threshold\\":0', 1)):
        with pytest.raises((StatementMalformed, VerificationError)):
            drafting.decode(content)


def test_a_hostile_server_gives_the_operator_neither_old_nor_foreign_metadata(
    publisher: Publisher, stated: StatedRelease, server: ServerKeys, tmp_path: Path
) -> None:
    before = publisher.repository()
    after = released(publisher, stated)
    with pytest.raises(Conflict, match="one above 2"):
        publisher.merged({"1.targets.json": before.files()["1.targets.json"]})
    stranger = begun(Publisher(tmp_path / "stranger"), server)
    with pytest.raises(Conflict, match="other contents"):
        publisher.merged(stranger.repository().files())
    forged = {**after.files(), "2.digits.json": after.files()["1.digits.json"].replace(b'"version":1', b'"version":2')}
    with pytest.raises(SignatureInvalid):
        publisher.merged(forged)
    assert publisher.repository() == after
    nobody = Publisher(tmp_path / "nobody")
    with pytest.raises(Conflict, match="keys that this fleet was begun with"):
        nobody.merged(after.files())
    assert not (tmp_path / "nobody").exists()


def test_a_colleague_with_the_keys_takes_what_the_server_has(publisher: Publisher, tmp_path: Path) -> None:
    colleague = tmp_path / "colleague"
    shutil.copytree(tmp_path / "home", colleague)
    (colleague / "metadata.json").unlink()
    assert Publisher(colleague).merged(publisher.repository().files()) == publisher.repository()


def test_a_copy_that_somebody_changed_is_refused(publisher: Publisher, tmp_path: Path) -> None:
    path = tmp_path / "home" / "metadata.json"
    path.write_bytes(path.read_bytes().replace(b'\\"threshold\\":1', b'\\"threshold\\":2', 1))
    with pytest.raises(VerificationError):
        publisher.repository()


def test_a_threshold_that_its_keys_cannot_meet_makes_no_keys(tmp_path: Path) -> None:
    with pytest.raises(UsageMalformed, match="of which 3 must sign"):
        Publisher(tmp_path / "home").keyring.make({"root": 2}, {"root": 3})
    assert not (tmp_path / "home").exists()


def test_a_model_with_keys_of_its_own_is_signed_by_them_alone(
    publisher: Publisher, stated: StatedRelease, tmp_path: Path
) -> None:
    made = publisher.keyring.make({"model/digits": 1}, {"model/digits": 1})
    grown = released(publisher, stated)
    delegated = grown.delegated("digits")
    assert delegated is not None
    assert delegated.keyids == [made[0].id]
    released(publisher, state_release([tiny_bundle(tmp_path, "1.1.0")], NOON))


def test_what_a_stolen_targets_key_signs_is_worth_nothing_after_its_rotation(
    publisher: Publisher, stated: StatedRelease, server: ServerKeys, tmp_path: Path
) -> None:
    shutil.copytree(tmp_path / "home", tmp_path / "thief")
    thief = Publisher(tmp_path / "thief")
    publisher.keep(publisher.rotation(publisher.repository(), ["targets"], server, [], NOON).grown())
    stolen = thief.release(thief.repository(), stated, NOON)
    with pytest.raises((SignatureInvalid, Conflict)):
        publisher.repository().grown(stolen.files())
    released(publisher, stated)


@pytest.mark.parametrize(
    ("act", "ends"),
    [
        ("keyring.make({'root': 1}, {'root': 1})", 0),
        ("keyring.make({'root': 1}, {'root': 1}, token='pkcs11:token=a')", 2),
    ],
)
def test_keys_in_files_need_no_library_of_tokens(tmp_path: Path, act: str, ends: int) -> None:
    program = f"""
import sys
sys.modules["pkcs11"] = None  # as where python-pkcs11 is not installed
from pathlib import Path
from edgefleet_contract.errors import InputError
from edgefleet_server.publisher.publisher import Publisher
try:
    Publisher(Path({str(tmp_path)!r})).{act}
except InputError as error:
    assert "edgefleet[pkcs11]" in error.remedy
    sys.exit(2)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (ends, "")
