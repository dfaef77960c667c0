"""Files as inference requests: pictures as the model's input takes them, arrays as they are."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from edgefleet_agent import predict
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import DataMalformed, UsageMalformed
from edgefleet_contract.manifest import Manifest, Preprocessing
from support.bundles import make_bundle, npz


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    with Bundle(make_bundle(tmp_path)) as bundle:
        return bundle.manifest


def with_input(manifest: Manifest, **changes: object) -> Manifest:
    spec = msgspec.structs.replace(manifest.inputs[0], **changes)
    return msgspec.structs.replace(manifest, inputs=[spec])


def sent(path: Path, manifest: Manifest) -> np.ndarray:
    (entry,) = json.loads(predict.read_request(path, manifest))["inputs"]
    assert entry["name"] == "image"
    return np.array(entry["data"], np.float32).reshape(entry["shape"])


def test_a_picture_is_scaled_to_the_input_in_grey(manifest: Manifest, tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), (200, 200, 200)).save(tmp_path / "p.png")
    pixels = sent(tmp_path / "p.png", manifest)
    assert pixels.shape == (1, 8, 8, 1)
    assert set(pixels.ravel()) == {200.0}


def test_a_picture_is_normalised_as_the_manifest_says_in_the_inputs_axis_order(
    manifest: Manifest, tmp_path: Path
) -> None:
    normalising = with_input(
        manifest, shape=[1, 3, 4, 4], axes="NCHW", preprocessing=Preprocessing([100.0, 0.0, 50.0], [10.0, 1.0, 2.0])
    )
    Image.new("RGB", (4, 4), (110, 20, 60)).save(tmp_path / "p.png")
    pixels = sent(tmp_path / "p.png", normalising)
    assert pixels.shape == (1, 3, 4, 4)
    assert [set(channel.ravel()) for channel in pixels[0]] == [{1.0}, {20.0}, {5.0}]


def test_arrays_are_sent_as_they_are(manifest: Manifest, tmp_path: Path) -> None:
    values = np.arange(128, dtype=np.uint8).reshape(2, 8, 8, 1)
    normalising = with_input(manifest, preprocessing=Preprocessing([100.0], [10.0]))
    (tmp_path / "a.npz").write_bytes(npz(x=values))
    np.save(tmp_path / "a.npy", values)
    for name in ("a.npz", "a.npy"):
        np.testing.assert_array_equal(sent(tmp_path / name, normalising), values)


def test_files_that_are_no_inputs_are_told(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "a.npz").write_bytes(npz(other=np.zeros(3)))
    (tmp_path / "b.npz").write_bytes(npz(x=np.array(["text"])))
    (tmp_path / "c.npy").write_bytes(b"no array")
    for name in ("a.png", "a.npz", "b.npz", "c.npy", "not-there.npz", "not-there.json"):
        with pytest.raises(DataMalformed):
            predict.read_request(tmp_path / name, manifest)
    flat = with_input(manifest, shape=[1, 64], axes="")
    Image.new("L", (8, 8)).save(tmp_path / "p.png")
    with pytest.raises(DataMalformed, match="no single image input"):
        predict.read_request(tmp_path / "p.png", flat)


def test_a_folder_gives_its_inputs_by_name(tmp_path: Path) -> None:
    for name in ("b.npz", "a.png", "notes.txt", "c.JSON"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in predict.input_files(tmp_path)] == ["a.png", "b.npz", "c.JSON"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageMalformed, match="holds no inputs"):
        list(predict.input_files(tmp_path / "empty"))
    with pytest.raises(UsageMalformed, match="no folder"):
        list(predict.input_files(tmp_path / "b.npz"))


def test_predictions_carry_labels_where_the_manifest_has_them(manifest: Manifest) -> None:
    output = predict.OutputTensor("probabilities", [2, 3], "FP32", [0.1, 0.7, 0.2, 0.9, 0.05, 0.05])
    response = predict.Response("digits", "1.0.0", [output])
    seen = predict.predictions(response, ["zero", "one"])
    assert [(entry.index, entry.label) for entry in seen] == [(1, "one"), (0, "zero")]
    assert predict.predictions(response, [])[0].label is None
    regression = predict.Response("r", "1.0.0", [predict.OutputTensor("y", [2, 1], "FP32", [1.0, 2.0])])
    assert predict.predictions(regression, []) == []


def test_one_sample_without_the_batch_axis_is_one_case(manifest: Manifest, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.ones((8, 8, 1), np.float32))
    np.save(tmp_path / "other.npy", np.ones((8, 8), np.float32))
    assert sent(tmp_path / "one.npy", manifest).shape == (1, 8, 8, 1)
    assert sent(tmp_path / "other.npy", manifest).shape == (8, 8), "the model refuses it"
