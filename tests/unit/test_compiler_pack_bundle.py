"""Packing: golden vectors that the artifact reproduces, a reference of the calibration set, bundles as folders."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pack.folder import Changes, pack, unpack
from edgefleet_compiler.pipeline import compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.source import load_source
from edgefleet_contract import features, sketches
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import BundleMalformed, HashMismatch, OutputUnwritable
from support.model_files import images, write_calibration, write_classifier, write_validation


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    model = write_classifier(folder / "Model One.onnx")
    options = CompileOptions(
        model,
        ("rpi4",),
        folder / "out",
        version="1.2.3",
        recipe="int8",
        calibration=write_calibration(folder / "c.npz"),
        validation=write_validation(folder / "v.npz", model),
        max_drop=1.0,
        labels=("a", "b", "c", "d"),
    )
    (outcome,) = compile_model(options, Silent())
    assert outcome.report.bundle is not None
    return Path(outcome.report.bundle.path)


def arrays(data: bytes) -> Mapping[str, NDArray[np.generic]]:
    loaded: Mapping[str, NDArray[np.generic]] = np.load(io.BytesIO(data), allow_pickle=False)
    return loaded


def test_the_bundle_is_called_after_model_version_and_target(bundle: Path) -> None:
    assert bundle.name == "model-one-1.2.3-rpi4.efb"


def test_the_manifest_says_what_device_and_server_need(bundle: Path) -> None:
    with Bundle(bundle) as opened:
        opened.verify()
        manifest = opened.manifest
    assert (manifest.target, manifest.hardware, manifest.format, manifest.artifact) == (
        "rpi4", ["rpi4"], "tflite", "model.tflite",
    )  # fmt: skip
    assert manifest.runtime.name == "litert"
    assert {"CONV_2D", "FULLY_CONNECTED", "SOFTMAX"} <= set(manifest.runtime.operators)
    (image,) = manifest.inputs
    assert (image.name, image.dtype, image.shape, image.axes) == ("image", "float32", [1, 1, 8, 8], "NCHW")
    assert image.preprocessing is None
    assert manifest.labels == ["a", "b", "c", "d"]
    assert manifest.baseline is not None
    assert (manifest.baseline.metric, manifest.baseline.value, manifest.baseline.n) == ("top1", 1.0, 80)
    assert {source.role for source in manifest.lineage.data} == {"calibration", "validation"}
    assert "calibrate" in manifest.lineage.passes
    assert manifest.lineage.passes[-2:] == ["export tflite", "prune losslessly"]
    assert {"edgefleet", "numpy", "onnxruntime", "scipy"} <= set(manifest.lineage.tools)
    assert "keras" not in manifest.lineage.tools
    assert manifest.sampling.rate == 0.0


def test_the_lineage_says_what_was_taken_away_of_the_model(bundle: Path, tmp_path: Path) -> None:
    folder, model = bundle.parents[2], bundle.parents[2] / "Model One.onnx"
    recipe = tmp_path / "recipe.toml"
    written = (bundle.parent / "recipe.toml").read_text()
    layer = next(node.name for node in load_source(model, input_shapes={}).hub.graph if node.op_type == "Gemm")
    recipe.write_text(
        f'{written.replace("lossless = true", "lossless = false")}[compress.low-rank]\n"{layer}" = "svd 1"\n'
    )
    (outcome,) = compile_model(
        CompileOptions(
            model,
            ("rpi4",),
            tmp_path / "out",
            recipe=str(recipe),
            calibration=folder / "c.npz",
            max_drop=1.0,
        ),
        Silent(),
    )
    assert outcome.report.bundle is not None
    with Bundle(Path(outcome.report.bundle.path)) as opened:
        passes = opened.manifest.lineage.passes
    assert "factor layers" in passes
    assert "prune losslessly" not in passes


@pytest.mark.parametrize("execution", ["deployed", "plain"])
def test_the_artifact_reproduces_both_golden_sets_within_their_tolerances(bundle: Path, execution: str) -> None:
    with Bundle(bundle) as opened:
        runner = open_runner(opened.read("model.tflite"), "tflite", execution=execution)  # type: ignore[arg-type]
        assert [golden.oracle for golden in opened.manifest.golden] == ["artifact", "baseline"]
        for golden in opened.manifest.golden:
            vectors = arrays(opened.read(golden.path))
            inputs, expected = vectors["in/image"], vectors["out/probabilities"]
            assert len(inputs) == len(expected) == golden.n == 16
            seen = np.concatenate([runner.run([case[np.newaxis]])[0] for case in inputs])
            assert np.abs(seen.astype(float) - expected).max() <= golden.max_abs
            agreement = (seen.argmax(axis=1) == expected.argmax(axis=1)).mean()
            assert agreement >= golden.min_argmax_agreement
            assert golden.min_argmax_agreement > 0.5


def test_a_quantised_output_may_move_by_a_step_or_two(bundle: Path) -> None:
    with Bundle(bundle) as opened:
        assert all(golden.max_abs >= 2 / 256 for golden in opened.manifest.golden)
        assert opened.manifest.golden[0].max_abs < 0.1


def test_another_model_fails_both_golden_sets(bundle: Path, tmp_path: Path) -> None:
    other = open_runner(write_classifier(tmp_path / "other.onnx", seed=11).read_bytes(), "onnx")
    with Bundle(bundle) as opened:
        for golden in opened.manifest.golden:
            vectors = arrays(opened.read(golden.path))
            seen = np.concatenate([other.run([case[np.newaxis]])[0] for case in vectors["in/image"]])
            assert np.abs(seen.astype(float) - vectors["out/probabilities"]).max() > golden.max_abs


def test_labelled_vectors_come_of_the_validation_set(bundle: Path) -> None:
    with Bundle(bundle) as opened:
        assert opened.manifest.vectors is not None
        vectors = arrays(opened.read(opened.manifest.vectors))
    assert vectors["x"].shape == (64, 1, 8, 8)
    assert vectors["y"].dtype == np.int64
    validation = images(80, seed=1)
    assert all(any(np.array_equal(case, known) for known in validation) for case in vectors["x"])


def test_the_reference_counts_the_calibration_set_in_its_own_bins(bundle: Path) -> None:
    with Bundle(bundle) as opened:
        assert opened.manifest.reference is not None
        reference = sketches.decode_reference(opened.read(opened.manifest.reference))
    assert reference.n == 60
    assert len(reference.features) == 64
    (extraction,) = reference.extractions
    rows = [features.extract(extraction, image) for image in images(60)]
    for index, feature in enumerate(reference.features):
        counts = [0] * len(feature.counts)
        for row in rows:
            counts[sketches.bin_of(feature, row[index])] += 1
        assert counts == feature.counts
        assert (counts[0], counts[-1], sum(counts)) == (0, 0, 60)


def test_unpacking_and_packing_again_gives_the_same_bundle(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    paths = unpack(bundle, folder)
    assert sorted(paths) == sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    packed = pack(folder, None, Changes())
    assert packed.path == tmp_path / bundle.name
    assert packed.path.read_bytes() == bundle.read_bytes()


def test_packing_sets_what_a_publisher_decides(bundle: Path, tmp_path: Path) -> None:
    unpack(bundle, tmp_path / "unpacked")
    packed = pack(tmp_path / "unpacked", tmp_path / "b.efb", Changes(3, 0.01, 50))
    with Bundle(bundle) as before, Bundle(packed.path) as after:
        assert (after.manifest.security_floor, after.manifest.sampling.rate) == (3, 0.01)
        assert after.manifest.sampling.max_per_day == 50
        assert after.digest == packed.digest != before.digest
        assert after.manifest.files == before.manifest.files


def test_a_bundle_is_not_unpacked_over_what_is_there(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputUnwritable):
        unpack(bundle, tmp_path)


@pytest.mark.attack
def test_a_damaged_bundle_leaves_no_folder_behind(bundle: Path, tmp_path: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / "damaged.efb"
    damaged.write_bytes(data)
    with pytest.raises(HashMismatch):
        unpack(damaged, tmp_path / "unpacked")
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.efb"]


def test_a_folder_without_its_files_is_not_packed(bundle: Path, tmp_path: Path) -> None:
    unpack(bundle, tmp_path / "unpacked")
    (tmp_path / "unpacked" / "model.tflite").unlink()
    with pytest.raises(BundleMalformed, match="cannot be read"):
        pack(tmp_path / "unpacked", None, Changes())
    assert [path.name for path in tmp_path.iterdir()] == ["unpacked"]


def test_a_file_that_was_changed_is_not_packed(bundle: Path, tmp_path: Path) -> None:
    unpack(bundle, tmp_path / "unpacked")
    with (tmp_path / "unpacked" / "model.tflite").open("ab") as model:
        model.write(b"z")
    with pytest.raises(HashMismatch, match=r"model\.tflite"):
        pack(tmp_path / "unpacked", None, Changes())
    assert [path.name for path in tmp_path.iterdir()] == ["unpacked"]


def test_a_file_that_no_manifest_lists_is_not_dropped_in_silence(bundle: Path, tmp_path: Path) -> None:
    unpack(bundle, tmp_path / "unpacked")
    (tmp_path / "unpacked" / "golden" / "more.npz").write_bytes(b"more")
    with pytest.raises(BundleMalformed, match=r"golden/more\.npz"):
        pack(tmp_path / "unpacked", None, Changes())
