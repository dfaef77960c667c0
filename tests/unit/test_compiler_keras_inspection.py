"""What Keras files are refused for before Keras sees them: code, links out of the file, and more than they hold."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from edgefleet_compiler.importers.tensorflow.child.archive import rewrite_archive
from edgefleet_compiler.importers.tensorflow.child.configuration import (
    check_configuration,
    drop_old_arguments,
    parse_configuration,
)
from edgefleet_compiler.importers.tensorflow.child.hdf5 import rewrite_model
from edgefleet_contract.errors import ModelCarriesCode, ModelMalformed, OperatorUnsupported

pytestmark = pytest.mark.attack


def layer(kind: str, module: str | None = "keras.layers", **arguments: Any) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": arguments, "registered_name": None}


def old_layer(kind: str, **arguments: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": arguments}


def model(*layers: dict[str, Any]) -> dict[str, Any]:
    return layer("Sequential", "keras", name="sequential", layers=list(layers))


DENSE = layer("Dense", name="dense", units=3)


@pytest.mark.parametrize("kind", ["Lambda", "TorchModuleWrapper", "JaxLayer", "TFSMLayer", "StringLookup"])
@pytest.mark.parametrize("make", [layer, old_layer])
def test_layers_that_bring_code_or_read_files_are_refused_by_name(
    kind: str, make: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(ModelCarriesCode, match=f"'harmless' \\({kind}\\)"):
        check_configuration(model(DENSE, make(kind, name="harmless")))


@pytest.mark.parametrize(
    "hidden",
    [
        layer("Dense", name="dense", activation={"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}),
        layer("Bidirectional", layer=layer("TimeDistributed", layer=layer("Lambda", name="deep"))),
        layer("Functional", "keras.src.models.functional", layers=[old_layer("Lambda", name="inner")]),
    ],
    ids=["activation", "wrappers", "inner model"],
)
def test_code_is_found_however_deep_it_lies(hidden: dict[str, Any]) -> None:
    with pytest.raises(ModelCarriesCode):
        check_configuration(model(DENSE, hidden))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("keras.utils", "get_file"),
        ("keras.saving", "load_model"),
        ("keras.src.saving.saving_lib", "load_model"),
        ("keras.src.utils.file_utils", "get_file"),
        ("kerasx.layers", "Dense"),
        (None, "Mine"),
    ],
)
def test_what_comes_from_elsewhere_is_refused(module: str | None, name: str) -> None:
    with pytest.raises(OperatorUnsupported, match=name):
        check_configuration(model(DENSE, layer(name, module)))


def test_all_custom_layers_are_named_at_once() -> None:
    first, second = layer("One", "mine.layers", name="a"), layer("Two", None, name="b")
    with pytest.raises(OperatorUnsupported, match=r"'a' \(One\), 'b' \(Two\)"):
        check_configuration(model(first, DENSE, second))


def test_what_keras_itself_writes_passes() -> None:
    check_configuration(
        model(
            layer("InputLayer", batch_shape=[None, 4], dtype=layer("DTypePolicy", "keras", name="float32")),
            layer("Dense", kernel_initializer=layer("GlorotUniform", "keras.initializers"), activation="gelu"),
            layer("Dense", kernel_regularizer=layer("L2", "keras.regularizers"), activation="relu"),
            layer("Add", "keras.src.ops.numpy"),
            {"class_name": "__keras_tensor__", "config": {"shape": [1], "keras_history": ["a", 0, 0]}},
            old_layer("Conv2D", name="old"),
        )
    )


def test_an_argument_of_keras_2_that_said_nothing_is_taken_out_and_one_that_said_something_stays() -> None:
    silent, telling = old_layer("DepthwiseConv2D", groups=1), old_layer("DepthwiseConv2D", groups=2)
    grouped = old_layer("Conv2D", groups=1)
    drop_old_arguments(model(silent, telling, grouped))
    assert [entry["config"] for entry in (silent, telling, grouped)] == [{}, {"groups": 2}, {"groups": 1}]


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 200_000, '{"class_name": 3}', "null", '{"a":' * 100_000])
def test_a_configuration_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ModelMalformed):
        parse_configuration(text)


def write_h5(path: Path, configuration: object | None = None) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(configuration or model(DENSE))
        file.create_group("model_weights").create_dataset("kernel", data=np.zeros((4, 3), np.float32))
    return path


def external_link(file: Any) -> None:
    file["model_weights/more"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft_link(file: Any) -> None:
    file["model_weights/more"] = h5py.SoftLink("/model_weights/kernel")


def circle(file: Any) -> None:
    file["model_weights/again"] = file["model_weights"]


def external_storage(file: Any) -> None:
    file.create_dataset("more", (16,), np.uint8, external=[("/etc/hostname", 0, 16)])


def virtual_dataset(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), np.float32)
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (4,))
    file.create_virtual_dataset("more", layout)


def bomb(file: Any) -> None:
    file.create_dataset("more", (2**40,), np.float32, chunks=(1024,), compression="gzip")


@pytest.mark.parametrize("trick", [external_link, soft_link, circle, external_storage, virtual_dataset, bomb])
def test_an_hdf5_file_that_reaches_beyond_itself_is_refused(tmp_path: Path, trick: Callable[[Any], None]) -> None:
    path = write_h5(tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        trick(file)
    with pytest.raises(ModelMalformed, match=r"which Keras does not write|declares more than"):
        rewrite_model(path)


def test_weights_alone_are_told_as_such(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]
    with pytest.raises(ModelMalformed, match="weights without an architecture"):
        rewrite_model(path)


@pytest.mark.parametrize("part", [0.01, 0.2, 0.5, 0.9, 0.99])
def test_a_truncated_hdf5_file_is_refused(tmp_path: Path, part: float) -> None:
    path = write_h5(tmp_path / "model.h5")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ModelMalformed):
        rewrite_model(path)


def test_a_large_configuration_survives_being_written_back(tmp_path: Path) -> None:
    many = model(*(layer("Dense", name=f"dense_{index}", units=3) for index in range(5000)))
    path = write_h5(tmp_path / "model.h5", many)
    rewrite_model(path)
    with h5py.File(path) as file:
        assert json.loads(file.attrs["model_config"]) == many


def members(folder: Path) -> dict[str, bytes]:
    weights = write_h5(folder / "weights.h5").read_bytes()
    return {"metadata.json": b"{}", "config.json": json.dumps(model(DENSE)).encode(), "model.weights.h5": weights}


def write_zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_an_archive_is_replaced_by_one_of_its_inspected_members(tmp_path: Path) -> None:
    entries = members(tmp_path)
    path = write_zip(tmp_path / "model.keras", entries)
    rewrite_archive(path)
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == entries


def test_a_member_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "model.keras", {**members(tmp_path), "config.json": bytes((64 << 20) + 1)})
    assert path.stat().st_size < 200_000
    with pytest.raises(ModelMalformed, match="unpacks to 67108865 bytes"):
        rewrite_archive(path)


@pytest.mark.parametrize("name", ["../../.bashrc", "assets/vocabulary.txt", "more.py"])
def test_members_that_keras_does_not_write_for_such_models_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelMalformed, match="each once"):
        rewrite_archive(write_zip(tmp_path / "model.keras", {**members(tmp_path), name: b""}))


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "model.keras", members(tmp_path))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", json.dumps(model(layer("Lambda"))))
    with pytest.raises(ModelMalformed, match="each once"):
        rewrite_archive(path)


@pytest.mark.parametrize("missing", ["metadata.json", "config.json", "model.weights.h5"])
def test_an_archive_without_one_of_its_parts_is_refused(tmp_path: Path, missing: str) -> None:
    entries = members(tmp_path)
    del entries[missing]
    with pytest.raises(ModelMalformed, match="each once"):
        rewrite_archive(write_zip(tmp_path / "model.keras", entries))


@pytest.mark.parametrize("part", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_or_empty_archive_is_refused(tmp_path: Path, part: float) -> None:
    path = write_zip(tmp_path / "model.keras", members(tmp_path))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ModelMalformed):
        rewrite_archive(path)


def test_an_archive_whose_bytes_are_flipped_is_refused_or_still_whole(tmp_path: Path) -> None:
    entries = members(tmp_path)
    data = write_zip(tmp_path / "model.keras", entries).read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        damaged[int(generator.integers(len(data)))] ^= 1 << int(generator.integers(8))
        path = tmp_path / "damaged.keras"
        path.write_bytes(damaged)
        try:
            rewrite_archive(path)
        except (ModelMalformed, ModelCarriesCode, OperatorUnsupported):
            continue
        with zipfile.ZipFile(path) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == entries


def test_weights_that_link_out_of_an_archive_are_refused(tmp_path: Path) -> None:
    weights = write_h5(tmp_path / "w.h5")
    with h5py.File(weights, "r+") as file:
        external_link(file)
    path = write_zip(tmp_path / "model.keras", {**members(tmp_path), "model.weights.h5": weights.read_bytes()})
    with pytest.raises(ModelMalformed, match="ExternalLink"):
        rewrite_archive(path)
