"""Backups: whole or none, closed to whoever lacks the passphrase, and no way back in for what is over."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgefleet_contract import canonical, keys
from edgefleet_contract.errors import (
    BackupRefused,
    DataFolderMalformed,
    OutputUnwritable,
    ServerDiskFailed,
    TokenRefused,
    UsageMalformed,
)
from edgefleet_server.backup import sealing
from edgefleet_server.backup.contents import Entry, Table, decode_table
from edgefleet_server.backup.create import create
from edgefleet_server.backup.restore import restore
from edgefleet_server.clock import DAY
from edgefleet_server.data_folder import for_the_owner_alone
from edgefleet_server.db import Database
from edgefleet_server.devices import tokens
from support.commands import Run, runner
from support.restored import PASSPHRASE, backed_up, restored
from support.server_state import NOON, Inside
from support.tiny_bundles import tiny_bundle
from support.unchanged import durable_state, unchanged

NOT_ASKED = "asked though it is not sealed"


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with closing(Inside(tmp_path)) as opened:
        opened.device()
        opened.roll_out(opened.push(tiny_bundle(tmp_path)))
        yield opened


@pytest.fixture(autouse=True)
def quick_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work factor protects weak passphrases, not the format."""
    monkeypatch.setattr(sealing, "_SCRYPT_N", 1 << 4)


def asked() -> str:
    return PASSPHRASE


def never_asked() -> str:
    raise AssertionError(NOT_ASKED)


def test_what_is_restored_is_what_was_there(inside: Inside) -> None:
    file = backed_up(inside)
    restore(file, inside.folder / "again", asked)
    assert durable_state(inside.folder / "again") == durable_state(inside.data.path)


def test_a_backup_is_one_state_of_a_server_that_runs_on(inside: Inside) -> None:
    before = durable_state(inside.data.path)
    file = backed_up(inside)
    inside.push(tiny_bundle(inside.folder, "2.0.0"))
    restore(file, inside.folder / "again", asked)
    assert durable_state(inside.folder / "again") == before != durable_state(inside.data.path)


def test_only_the_owner_reads_a_backup_and_what_comes_of_it(inside: Inside) -> None:
    with for_the_owner_alone():
        file = backed_up(inside)
        restore(file, inside.folder / "again", asked)
    made = [file, *(inside.folder / "again").rglob("*"), inside.folder / "again"]
    assert [path for path in made if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


@pytest.mark.attack
def test_without_a_passphrase_no_secret_is_in_a_backup(inside: Inside) -> None:
    file = backed_up(inside, passphrase=None)
    secrets = [
        *(path for path in inside.data.keys.rglob("*") if path.is_file()),
        *inside.data.authority.glob("*.key"),
        inside.data.path / "admin.token",
    ]
    assert len(secrets) > 2
    content = file.read_bytes()
    assert [path.name for path in secrets if path.read_bytes().strip() in content] == []
    restore(file, inside.folder / "again", never_asked)
    assert not [path for path in (inside.folder / "again" / "keys").rglob("*") if path.is_file()]


@pytest.mark.attack
def test_a_sealed_backup_shows_nothing_without_its_passphrase(inside: Inside) -> None:
    file = backed_up(inside)
    assert b"PRIVATE KEY" not in file.read_bytes()
    assert b"SQLite" not in file.read_bytes()
    with unchanged(inside.data.path), pytest.raises(BackupRefused, match="passphrase"):
        restore(file, inside.folder / "again", lambda: PASSPHRASE + " ")
    assert not (inside.folder / "again").exists()


@pytest.mark.attack
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["plain", "sealed"])
def test_a_damaged_backup_leaves_nothing_behind(inside: Inside, passphrase: str | None) -> None:
    good = backed_up(inside, passphrase=passphrase).read_bytes()
    beside = sorted(inside.folder.iterdir())
    for spoiled in [*cut_off(good), *flipped(good)]:
        (inside.folder / "b").write_bytes(spoiled)
        with pytest.raises(BackupRefused):
            restore(inside.folder / "b", inside.folder / "again", asked)
        assert sorted(inside.folder.iterdir()) == beside


def cut_off(good: bytes) -> list[bytes]:
    return [good[: len(good) * part // 16] for part in range(16)]


def flipped(good: bytes) -> Iterator[bytes]:
    """One bit of each member's contents and of the frame around the first."""
    for position in (0, 600, len(good) // 3, len(good) // 2):
        yield good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :]


@pytest.mark.attack
@pytest.mark.parametrize("name", ["../outside", "/etc/cron.d/job", "keys/../../outside", "a\0b", "keys/.hidden", ""])
def test_a_table_that_names_what_no_data_folder_holds_is_refused(name: str) -> None:
    files = [Entry("edgefleet.db", "0" * 64, 1), Entry(name, "0" * 64, 1)]
    with pytest.raises(BackupRefused):
        decode_table(canonical.encode(Table(1, NOON, "0001", keys=False, files=files)))


@pytest.mark.attack
def test_a_link_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    files = [Entry("edgefleet.db", canonical.sha256(b""), 0)]
    table = canonical.encode(Table(1, NOON, "0001", keys=False, files=files))
    with tarfile.open(tmp_path / "b", "w") as archive:
        head = tarfile.TarInfo("backup.json")
        head.size = len(table)
        archive.addfile(head, io.BytesIO(table))
        link = tarfile.TarInfo("edgefleet.db")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(BackupRefused):
        restore(tmp_path / "b", tmp_path / "again", never_asked)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]


@pytest.mark.attack
def test_a_claim_token_of_a_restored_backup_opens_nothing(inside: Inside) -> None:
    token = inside.token(DAY)
    file = backed_up(inside)
    inside.enroll(inside.request(token, keys.generate_device_key()))  # used after the backup, which does not know it
    restore(file, inside.folder / "again", asked)
    with (
        closing(Database(f"sqlite:///{inside.folder}/again/edgefleet.db")) as database,
        database.read() as session,
        pytest.raises(TokenRefused, match="expired"),
    ):
        tokens.check(session, inside.clock(), token.id, token.secret, "another key")


def test_a_hook_of_a_restored_backup_can_be_asked(inside: Inside) -> None:
    hook = inside.data.hooks / "ask"
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o700)
    with restored(inside, backed_up(inside)) as again:
        again.fleet.hooks.check("ask")
        assert stat.S_IMODE((again.data.hooks / "ask").stat().st_mode) == 0o700
        assert stat.S_IMODE((again.data.path / "admin.token").stat().st_mode) == 0o600


def test_a_folder_that_holds_something_is_not_restored_over(inside: Inside) -> None:
    file = backed_up(inside)
    with unchanged(inside.data.path), pytest.raises(DataFolderMalformed, match="not empty"):
        restore(file, inside.data.path, asked)


def test_a_backup_of_a_newer_edgefleet_is_refused(tmp_path: Path) -> None:
    files = [Entry("edgefleet.db", canonical.sha256(b""), 0)]
    table = canonical.encode(Table(1, NOON, "9999", keys=False, files=files))
    with tarfile.open(tmp_path / "b", "w") as archive:
        head = tarfile.TarInfo("backup.json")
        head.size = len(table)
        archive.addfile(head, io.BytesIO(table))
    with pytest.raises(DataFolderMalformed, match="newer"):
        restore(tmp_path / "b", tmp_path / "again", never_asked)


def test_a_backup_that_would_not_be_whole_is_not_made(inside: Inside) -> None:
    blob = next(inside.data.blobs.iterdir())
    os.truncate(blob, 3)
    with pytest.raises(ServerDiskFailed, match="would not be whole"):
        backed_up(inside)
    assert not (inside.folder / "b").exists()


def test_a_file_that_is_there_is_not_written_over(inside: Inside) -> None:
    backed_up(inside)
    with pytest.raises(OutputUnwritable):
        backed_up(inside)


def test_a_backup_into_a_folder_that_is_not_there_is_told_with_its_path(inside: Inside) -> None:
    nowhere = inside.folder / "nowhere" / "b"
    with pytest.raises(OutputUnwritable, match="nowhere/b"):
        create(inside.data.path, nowhere, inside.clock)


def test_the_commands_say_what_they_did(
    inside: Inside, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Run = runner(capsys)
    file, data = inside.folder / "b", inside.data.path
    assert run("server", "backup", "--data", data, "--out", file).err.startswith("The keys are not in it")
    refused = run("server", "backup", "--data", data, "--out", inside.folder / "c", "--with-keys", "--json")
    assert (refused.status, refused.document["error"]["code"]) == (UsageMalformed.exit_status, "usage")
    monkeypatch.setenv("EDGEFLEET_BACKUP_PASSPHRASE", PASSPHRASE)
    made = run("server", "backup", "--data", data, "--out", inside.folder / "c", "--with-keys", "--json").document
    assert made["keys"]
    assert made["bytes"] == (inside.folder / "c").stat().st_size
    back = run("server", "restore", inside.folder / "c", "--data", inside.folder / "again", "--json").document
    assert back["files"] == made["files"]
    (inside.folder / "c").write_bytes(b"nothing of ours")
    ended = run("server", "restore", inside.folder / "c", "--data", inside.folder / "more", "--json")
    assert (ended.status, ended.document["error"]["code"]) == (4, "backup.refused")
