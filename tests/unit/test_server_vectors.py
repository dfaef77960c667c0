"""What is given as rollout vectors is refused before it could switch the gate off, or fail every device."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgefleet_agent.child.contents import Contents
from edgefleet_agent.child.model import Model, forms_of, read_arrays
from edgefleet_contract import canonical, cases
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import DataMalformed, DataNotFound, EdgefleetError, InputError
from edgefleet_contract.manifest import Manifest
from edgefleet_server.data_folder import DataFolder
from edgefleet_server.releases import service as releases
from edgefleet_server.rollouts import vectors_file
from edgefleet_server.rollouts.vectors_file import check_fitting, check_labelled
from support.bundles import make_bundle, npz
from support.server_state import Inside
from support.tiny_bundles import tiny_bundle

CASES = np.zeros((5, 8, 8, 1), np.float32)
LABELS = np.arange(5)
WHOLE = npz(x=CASES, y=LABELS)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Of the digits network."""
    with Bundle(make_bundle(tmp_path_factory.mktemp("bundle"))) as bundle:
        return bundle.manifest


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The digits network as a device has it."""
    folder = tmp_path_factory.mktemp("slot")
    with Bundle(make_bundle(folder)) as bundle:
        (folder / "manifest.json").write_bytes(bundle.manifest_bytes)
        (folder / bundle.manifest.artifact).write_bytes(bundle.read(bundle.manifest.artifact))
    return Model(Contents(folder, None), threads=1)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "v.npz"
    path.write_bytes(content)
    return path


def compressed(method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """``WHOLE`` in a zip that is compressed by another method."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as source, zipfile.ZipFile(buffer, "w", method) as packed:
        for name in source.namelist():
            packed.writestr(name, source.read(name))
    return buffer.getvalue()


def overwritten(content: bytes, place: int, with_bytes: bytes) -> bytes:
    return content[:place] + with_bytes + content[place + len(with_bytes) :]


def encrypted() -> bytes:
    """``WHOLE`` with the flag of encryption at every member."""
    content = bytearray(WHOLE)
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        found = content.find(magic)
        while found >= 0:
            content[found + place] |= 1
            found = content.find(magic, found + 1)
    return bytes(content)


def claiming(header: bytes) -> bytes:
    """An archive whose ``x`` says ``header`` of itself."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(5))
        packed.writestr("y.npy", npy(LABELS))
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


FIT = {
    "x": WHOLE,
    "by name": npz(image=CASES, y=LABELS),
    "deflated": compressed(),
    "lzma": compressed(zipfile.ZIP_LZMA),
    "bytes": npz(x=CASES.astype(np.uint8), y=LABELS.astype(np.uint8)),
    "big-endian doubles": npz(x=CASES.astype(">f8"), y=LABELS.astype(">i4")),
    "truth values": npz(x=CASES.astype(bool), y=LABELS > 2),
    "a column of labels": npz(x=CASES, y=LABELS[:, None]),
    "Fortran order": npz(x=np.asfortranarray(CASES), y=LABELS),
    "further arrays": npz(x=CASES, y=LABELS, names=np.array(["a", "b"]), weights=np.ones(7)),
    "one too many": npz(image=CASES, x=np.ones(3), y=LABELS),
}
MISFIT = {
    "no archive": b"hello",
    "nothing": b"",
    "empty archive": b"PK\x05\x06" + bytes(18),
    "one array": npy(CASES),
    "cut": WHOLE[:-30],
    "encrypted": encrypted(),
    "damaged deflate": overwritten(compressed(), 45, b"\xff" * 12),
    "another byte": overwritten(WHOLE, WHOLE.index(bytes(64)), b"\x01"),
    "objects": npz(x=CASES, y=LABELS, z=np.array([None])),
    "elements of no type": claiming(b"{'descr': '<f3', 'fortran_order': False, 'shape': (5, 8, 8, 1), }"),
    "more than there is": claiming(b"{'descr': '<f4', 'fortran_order': False, 'shape': (5, 8, 8, 1), }"),
    "a header that is code": claiming(b"__import__('os')"),
    "another name": npz(picture=CASES, y=LABELS),
    "another shape": npz(x=CASES[:, :7], y=LABELS),
    "too few labels": npz(x=CASES, y=LABELS[:4]),
    "no cases": npz(x=CASES[:0], y=LABELS[:0]),
    "texts": npz(x=CASES.astype(str), y=LABELS),
    "a scalar": npz(x=np.float32(1), y=LABELS),
}
UNLABELLED = {
    "without": npz(x=CASES),
    "fractions": npz(x=CASES, y=LABELS + 0.5),
    "texts": npz(x=CASES, y=np.array("a")),
}


def device_takes(model: Model, path: Path) -> bool:
    """Whether a device runs these cases and compares them with labels."""
    arrays = read_arrays(path.name, path)
    columns = model.batch(arrays)
    model.run([column[0] for column in columns])
    return cases.has_labels(forms_of(arrays), len(columns[0]))


@pytest.mark.parametrize("name", FIT)
def test_what_the_server_takes_every_device_takes(tmp_path: Path, model: Model, manifest: Manifest, name: str) -> None:
    path = written(tmp_path, FIT[name])
    assert check_fitting(path, [manifest]) == 5
    assert device_takes(model, path)


@pytest.mark.parametrize("name", MISFIT)
def test_what_no_device_takes_the_server_refuses(tmp_path: Path, model: Model, manifest: Manifest, name: str) -> None:
    path = written(tmp_path, MISFIT[name])
    with pytest.raises(DataMalformed):
        check_fitting(path, [manifest])
    with pytest.raises(DataMalformed):
        device_takes(model, path)


@pytest.mark.parametrize("name", UNLABELLED)
def test_what_devices_take_and_cannot_judge_by_the_server_refuses(tmp_path: Path, model: Model, name: str) -> None:
    path = written(tmp_path, UNLABELLED[name])
    assert not device_takes(model, path)
    with pytest.raises(DataMalformed, match=r"have (no labels|labels of the element kind)"):
        check_labelled(path)


def test_vectors_that_devices_could_not_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, WHOLE)
    monkeypatch.setattr(vectors_file, "UNPACKED_LIMIT", 1000)
    with pytest.raises(DataMalformed, match="more than 1000"):
        check_labelled(path)
    monkeypatch.undo()
    monkeypatch.setattr(vectors_file, "CASES_LIMIT", 4)
    with pytest.raises(DataMalformed, match="5 labels"):
        check_labelled(path)


def test_an_error_names_the_file_and_the_bundle(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(DataNotFound, match="The vectors 'nowhere' are not there"):
        check_labelled(tmp_path / "nowhere", "The vectors 'nowhere'")
    path = written(tmp_path, npz(x=CASES[:, :7], y=LABELS))
    with pytest.raises(DataMalformed, match=r"do not fit digits@1.0.0 for x86-64: .* shape \(5, 7, 8, 1\)") as error:
        check_fitting(path, [manifest])
    assert "(n, 8, 8, 1)" in error.value.text()


def upload(inside: Inside, content: bytes) -> str:
    """What a client sends that has not looked at it."""
    sha256 = canonical.sha256(content)
    inside.blobs.store(sha256, content)
    with inside.database.write() as session:
        releases.add_blob(session, inside.clock(), sha256, len(content))
    return sha256


@pytest.mark.parametrize(
    "content", [WHOLE, npz(x=np.zeros((4, 2))), compressed()[:-40], b"none", npz(x=np.zeros((4, 2)), y=LABELS)]
)
def test_the_server_itself_refuses_vectors_that_the_release_cannot_be_judged_by(inside: Inside, content: bytes) -> None:
    inside.device()
    label = inside.push()
    sha256 = upload(inside, content)
    with pytest.raises(InputError):
        inside.roll_out(label, vectors_sha256=sha256)
    assert "rollout.created" not in inside.acts()


def test_the_server_takes_vectors_that_fit(inside: Inside) -> None:
    inside.device()
    sha256 = upload(inside, npz(x=np.zeros((4, 2)), y=LABELS[:4]))
    label = inside.roll_out(inside.push(), vectors_sha256=sha256)
    assert inside.rollout(label).vectors_origin == "given by the operator"


def narrower(bundle: Manifest) -> Manifest:
    """The same model with three values at its input."""
    return msgspec.structs.replace(bundle, inputs=[msgspec.structs.replace(bundle.inputs[0], shape=[1, 3])])


def scoring(bundle: Manifest) -> Manifest:
    """The same model with one value at its output."""
    return msgspec.structs.replace(bundle, outputs=[msgspec.structs.replace(bundle.outputs[0], shape=[1, 1])])


@pytest.mark.parametrize(
    ("change", "given", "seen"),
    [(narrower, False, "baseline vectors of digits@1.0.0 do not fit digits@1.1.0"), (scoring, True, "single value")],
)
def test_a_release_that_vectors_cannot_judge_is_not_rolled_out_unjudged(
    inside: Inside, change: Callable[[Manifest], Manifest], given: bool, seen: str
) -> None:
    device = inside.device()
    inside.settle(inside.roll_out(inside.push()), device)
    release = inside.push(tiny_bundle(inside.folder, "1.1.0", changed=change))
    vectors = upload(inside, npz(x=np.zeros((4, 2)), y=LABELS[:4])) if given else None
    with pytest.raises(DataMalformed, match=seen) as error:
        inside.roll_out(release, vectors_sha256=vectors)
    assert "--vectors" in error.value.remedy


def test_vectors_that_the_disk_has_lost_are_our_fault(inside: Inside) -> None:
    inside.device()
    label = inside.push()
    sha256 = upload(inside, npz(x=np.zeros((4, 2)), y=LABELS[:4]))
    inside.blobs.path(sha256).unlink()
    with pytest.raises(EdgefleetError) as error:
        inside.roll_out(label, vectors_sha256=sha256)
    assert error.value.code == "server.disk_failed"


def test_the_data_folder_and_all_above_it_that_is_made_are_for_the_owner_alone(tmp_path: Path) -> None:
    DataFolder(tmp_path / "home" / "server").close()
    for path in (tmp_path / "home", tmp_path / "home" / "server", tmp_path / "home" / "server" / "keys"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
