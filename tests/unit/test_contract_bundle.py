"""The bundle file: canonical bytes, bounded reading, and no way to say anything but what the manifest says."""

from __future__ import annotations

import zipfile
from pathlib import Path

import msgspec
import pytest

from edgefleet_contract import bundle, manifest
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import BundleDamaged, BundleMalformed, HashMismatch, SealBroken, VerificationError
from edgefleet_contract.manifest import FileEntry
from edgefleet_contract.sealing import files
from support.contract_samples import CONTENTS, bundle_bytes, sample_manifest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "digits.efb"
    file.write_bytes(bundle_bytes())
    return file


def read_all(path: Path) -> dict[str, bytes]:
    with Bundle(path) as opened:
        opened.verify()
        return {entry.path: opened.read(entry.path) for entry in opened.manifest.files}


def test_what_was_written_is_read_back(path: Path) -> None:
    assert read_all(path) == CONTENTS
    with Bundle(path) as opened:
        assert opened.manifest == sample_manifest()
        assert opened.digest == manifest.digest(opened.manifest_bytes)


def test_any_unzip_tool_can_open_it(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == "manifest.json"
        assert archive.read("manifest.json") == manifest.encode(sample_manifest())


def test_equal_contents_are_stored_once(tmp_path: Path) -> None:
    entry = sample_manifest().files[0]
    twice = sample_manifest(files=[*sample_manifest().files, FileEntry("copy.onnx", entry.sha256, entry.bytes)])
    with (tmp_path / "b.efb").open("wb") as file:
        bundle.write_bundle(file, twice, {**CONTENTS, "copy.onnx": CONTENTS["model.onnx"]})
    with Bundle(tmp_path / "b.efb") as opened:
        assert opened.read("copy.onnx") == CONTENTS["model.onnx"]
    assert (tmp_path / "b.efb").stat().st_size < len(bundle_bytes()) + 200


@pytest.mark.attack
def test_every_single_flipped_bit_is_refused(path: Path) -> None:
    good = path.read_bytes()
    for position in range(len(good)):
        flipped = bytearray(good)
        flipped[position] ^= 1 << (position % 8)
        path.write_bytes(flipped)
        with pytest.raises(VerificationError):
            read_all(path)


@pytest.mark.attack
def test_every_truncation_and_an_appended_byte_are_refused(path: Path) -> None:
    good = path.read_bytes()
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises((BundleDamaged, BundleMalformed)):
            read_all(path)
    path.write_bytes(good + b"\0")
    with pytest.raises(BundleDamaged):
        read_all(path)


@pytest.mark.attack
@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_zip_that_another_tool_wrote_is_refused(path: Path, compression: int) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("manifest.json", manifest.encode(sample_manifest()))
        for entry in sample_manifest().files:
            archive.writestr(f"blobs/sha256/{entry.sha256}", CONTENTS[entry.path])
    with pytest.raises(BundleDamaged):
        read_all(path)


@pytest.mark.attack
def test_a_zip_bomb_is_refused_before_it_is_read(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * (200 * 1024 * 1024))
    with pytest.raises(BundleDamaged):
        read_all(path)


@pytest.mark.attack
def test_contents_that_do_not_match_their_entry_are_not_written(tmp_path: Path) -> None:
    with (tmp_path / "b.efb").open("wb") as file, pytest.raises(HashMismatch):
        bundle.write_bundle(file, sample_manifest(), {**CONTENTS, "golden.npz": b"others"})


@pytest.mark.attack
@pytest.mark.parametrize(
    "evil", ["../up", "/etc/passwd", "a/../../b", "C:\\x", "", "a//b", "a\0b", "./a", "x/" * 9 + "x"]
)
def test_a_path_that_leaves_the_folder_is_refused(evil: str) -> None:
    files = [*sample_manifest().files, FileEntry(evil, "0" * 64, 0)]
    with pytest.raises(BundleMalformed):
        manifest.decode(manifest.encode(sample_manifest(files=files)))


def test_too_many_files_and_too_many_bytes_are_refused() -> None:
    many = [FileEntry(f"f{index}", f"{index:064x}", 0) for index in range(bundle.FILES_LIMIT + 1)]
    with pytest.raises(BundleMalformed, match="at most 64"):
        bundle_bytes(sample_manifest(files=[*sample_manifest().files, *many]))
    huge = FileEntry("huge", "3" * 64, bundle.BUNDLE_LIMIT)
    with pytest.raises(BundleMalformed, match="at most"):
        bundle_bytes(sample_manifest(files=[*sample_manifest().files, huge]))


def test_a_file_that_never_was_a_bundle_is_malformed_input_not_a_failed_verification(tmp_path: Path) -> None:
    other = tmp_path / "letter.txt"
    other.write_text("Dear Sir or Madam, this is no bundle, however long it may go on.")
    with pytest.raises(BundleMalformed, match="no bundle"):
        Bundle(other)
    with pytest.raises(BundleMalformed, match="cannot be read"):
        Bundle(tmp_path / "missing.efb")


def test_a_manifest_of_another_version_is_refused_with_what_to_do() -> None:
    newer = msgspec.json.encode(msgspec.to_builtins(sample_manifest()) | {"v": 2})
    with pytest.raises(BundleMalformed, match="Update edgefleet"):
        manifest.decode(newer)


def test_unknown_fields_of_a_manifest_are_ignored() -> None:
    later = msgspec.json.encode(msgspec.to_builtins(sample_manifest()) | {"added_later": 1})
    assert manifest.decode(later) == sample_manifest()


def test_references_to_files_that_are_not_listed_are_refused() -> None:
    with pytest.raises(BundleMalformed, match="lists no file 'nowhere'"):
        manifest.decode(manifest.encode(sample_manifest(reference="nowhere")))


@pytest.mark.attack
@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_zip_of_other_things_never_was_a_bundle(tmp_path: Path, compression: int) -> None:
    other = tmp_path / "photos.zip"
    with zipfile.ZipFile(other, "w", compression) as archive:
        archive.writestr("photo.jpg", b"\xff\xd8" * 3000)
    with pytest.raises(BundleMalformed, match="no bundle"):
        Bundle(other)


@pytest.mark.attack
@pytest.mark.parametrize("length", [1, 4, 512])
def test_a_bundle_with_bytes_before_it_or_a_lost_start_is_damaged(path: Path, length: int) -> None:
    good = path.read_bytes()
    for changed in (b"\0" * length + good, b"\0" * length + good[length:]):
        path.write_bytes(changed)
        with pytest.raises(BundleDamaged):
            Bundle(path)


def test_a_sealed_bundle_is_read_with_its_key_and_not_without(tmp_path: Path) -> None:
    key, path = files.new_key(), tmp_path / "sealed.efb"
    path.write_bytes(files.seal_bytes(bundle_bytes(), key))
    with Bundle(path, key) as bundle:
        bundle.verify()
        assert bundle.read("model.onnx") == CONTENTS["model.onnx"]
    with pytest.raises(BundleMalformed, match="no bundle"):
        Bundle(path)
    with pytest.raises(SealBroken):
        Bundle(path, files.new_key())
