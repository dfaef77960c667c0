"""Releases: keys on the operator's machine, statements, and what the server takes and refuses."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgefleet_contract import canonical
from edgefleet_contract.errors import (
    BundleDamaged,
    BundleMalformed,
    Conflict,
    EdgefleetError,
    HashMismatch,
    InputError,
    NotFound,
    OutputUnwritable,
    SignatureInvalid,
    StatementMalformed,
    UsageMalformed,
    WrongTarget,
)
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.publisher.statement import StatedRelease, state_release
from edgefleet_server.releases import service
from edgefleet_server.releases.blobs import BlobStore
from edgefleet_server.releases.models import Blob, ReleasedBundle
from edgefleet_server.trust import service as trust_service
from support.server_state import NOON, Inside
from support.tiny_bundles import tiny_bundle, tiny_vectors


def upload(inside: Inside, path: Path) -> None:
    content = path.read_bytes()
    inside.blobs.store(canonical.sha256(content), content)
    with inside.database.write() as session:
        service.add_blob(session, NOON, canonical.sha256(content), len(content))


def push(inside: Inside, stated: StatedRelease) -> None:
    """Sign and push ``stated``, whatever it says; its bundles have been uploaded."""
    draft = inside.publisher.release(inside.publisher.repository(), stated, NOON)
    with inside.fleet.change("admin") as change:
        repository = trust_service.take(change, inside.online_keys, draft.files())
        service.push(change, repository, stated.label, inside.blobs, inside.content_keys)


def state(inside: Inside) -> tuple[list[str], object]:
    """What must not change when something is refused."""
    with inside.database.read() as session:
        return inside.acts(), trust_service.repository(session)


def test_a_release_is_what_was_signed(inside: Inside) -> None:
    label = inside.push(tiny_bundle(inside.folder), tiny_bundle(inside.folder, hardware=["rpi4"], target="rpi4"))
    with inside.database.read() as session:
        release = service.release(session, label)
        assert label == "digits@1.0.0"
        assert [bundle.target for bundle in release.bundles] == ["rpi4", "x86-64"]
        role = trust_service.repository(session).model("digits")
        assert role is not None
        assert sorted(role.targets) == ["digits/1.0.0/rpi4.efb", "digits/1.0.0/x86-64.efb"]
        for bundle in release.bundles:
            assert bundle.vectors_sha256 == canonical.sha256(tiny_vectors("1.0.0"))
            assert inside.blobs.path(str(bundle.reference_sha256)).exists()


def test_pushing_again_changes_nothing(inside: Inside) -> None:
    inside.push()
    acts = inside.acts()
    inside.clock.turn(1000)
    inside.push()
    assert inside.acts() == acts


def test_a_version_never_changes(inside: Inside) -> None:
    inside.push()
    with pytest.raises(Conflict, match="with other bundles"):
        inside.push(tiny_bundle(inside.folder, compiled=0.5))


def test_metadata_by_other_keys_are_refused(inside: Inside, tmp_path: Path) -> None:
    stranger = Publisher(tmp_path / "stranger")
    stranger.ensure()
    theirs = stranger.first(inside.online_keys.public(None), NOON)
    stranger.keep(theirs.grown())
    path = tiny_bundle(inside.folder)
    upload(inside, path)
    release = stranger.release(stranger.repository(), state_release([path], NOON), NOON)
    before = state(inside)
    with inside.fleet.change("admin") as change, pytest.raises(Conflict, match="keys and the EDGEFLEET_HOME"):
        trust_service.take(change, inside.online_keys, theirs.files())
    files = release.files()
    with inside.fleet.change("admin") as change, pytest.raises(SignatureInvalid):
        trust_service.take(change, inside.online_keys, files)
    assert state(inside) == before


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"signed":{"_type":"root"},"signatures":[]}'])
@pytest.mark.parametrize("name", ["2.root.json", "2.targets.json", "1.digits.json"])
def test_what_is_no_metadata_is_refused(inside: Inside, name: str, content: bytes) -> None:
    before = state(inside)
    with inside.fleet.change("admin") as change, pytest.raises(StatementMalformed):
        trust_service.take(change, inside.online_keys, {name: content})
    assert state(inside) == before


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"name": "faces"}, SignatureInvalid),
        ({"version": "2.0.0"}, SignatureInvalid),
        ({"security_floor": 7}, SignatureInvalid),
    ],
)
def test_a_statement_that_its_bundles_contradict_is_refused(
    inside: Inside, changed: dict[str, object], error: type[EdgefleetError]
) -> None:
    path = tiny_bundle(inside.folder)
    upload(inside, path)
    stated = state_release([path], NOON)
    before = state(inside)
    with pytest.raises(error):
        push(inside, StatedRelease(msgspec.structs.replace(stated.release, **changed), stated.files))
    assert state(inside) == before


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"target": "rpi4"}, WrongTarget),
        ({"hardware": ["x86-64", "rpi4"]}, WrongTarget),
        ({"digest": "0" * 64}, HashMismatch),
        ({"sha256": "0" * 64}, NotFound),
        ({"bytes": 17}, HashMismatch),
    ],
)
def test_a_bundle_that_its_statement_contradicts_is_refused(
    inside: Inside, changed: dict[str, object], error: type[EdgefleetError]
) -> None:
    path = tiny_bundle(inside.folder)
    upload(inside, path)
    stated = state_release([path], NOON)
    lie = msgspec.structs.replace(stated.bundles[0], **changed)
    before = state(inside)
    with pytest.raises(error):
        push(inside, StatedRelease(stated.release, [(lie, path)]))
    assert state(inside) == before


def test_an_upload_is_whole_or_not_there(inside: Inside) -> None:
    content = b"some bytes"
    name = canonical.sha256(content)
    with pytest.raises(HashMismatch):
        inside.blobs.store(name, b"other bytes")
    with pytest.raises(InputError, match="more than 4 bytes"), inside.blobs.receive(name, 4) as writer:
        writer.write(content)
    with inside.blobs.receive(name, 100) as writer:
        writer.write(content)  # and the connection breaks before the end
    folder = inside.folder / "data" / "blobs" / "sha256"
    assert list(folder.iterdir()) == []
    inside.blobs.store(name, content)
    assert [path.name for path in folder.iterdir()] == [name]


def test_parts_that_a_crash_left_are_swept_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / ".deadbeef.part").write_bytes(b"half")
    BlobStore(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path / "home")
    assert publisher.ensure()
    made = publisher.keyring.all()
    assert [key.role for key in made] == ["root", "targets"]
    for key in made:
        assert Path(publisher.keyring.where(key)).stat().st_mode & 0o777 == 0o600
    assert not publisher.ensure()
    assert publisher.keyring.all() == made


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable, match="EDGEFLEET_HOME"):
        Publisher(tmp_path / "file").ensure()


def test_without_the_targets_key_nothing_is_signed(inside: Inside) -> None:
    keyring = inside.publisher.keyring
    Path(keyring.where(keyring.of("targets")[0])).unlink()
    stated = state_release([tiny_bundle(inside.folder)], NOON)
    draft = inside.publisher.release(inside.publisher.repository(), stated, NOON)
    assert {missing.role for missing in draft.missing()} == {"targets", "digits"}
    before = state(inside)
    with pytest.raises(SignatureInvalid):
        inside.take(draft)
    assert state(inside) == before


def test_bundles_that_do_not_belong_together_are_not_one_release(tmp_path: Path) -> None:
    one, other = tiny_bundle(tmp_path), tiny_bundle(tmp_path, "1.1.0")
    with pytest.raises(UsageMalformed, match=r"digits 1\.0\.0 \(floor 0\), digits 1\.1\.0"):
        state_release([one, other], NOON)
    with pytest.raises(UsageMalformed, match="Two bundles are for one target"):
        state_release([one, one], NOON)


def test_a_damaged_bundle_is_not_signed(tmp_path: Path) -> None:
    path = tiny_bundle(tmp_path)
    whole = path.read_bytes()
    for spoil in range(0, len(whole), 97):
        path.write_bytes(whole[:spoil] + bytes([whole[spoil] ^ 1]) + whole[spoil + 1 :])
        with pytest.raises((BundleDamaged, HashMismatch, BundleMalformed)):
            state_release([path], NOON)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleDamaged):
        state_release([path], NOON)


def test_blobs_of_a_release_are_known_to_the_database(inside: Inside) -> None:
    inside.push()
    with inside.database.read() as session:
        [bundle] = session.query(ReleasedBundle).all()
        for sha256 in (bundle.sha256, bundle.reference_sha256, bundle.vectors_sha256):
            blob = session.get_one(Blob, sha256)
            assert inside.blobs.path(blob.sha256).stat().st_size == blob.size
