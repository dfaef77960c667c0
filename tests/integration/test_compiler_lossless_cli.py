"""Lossless pruning through the commands: what compile says, and what a bundle shows of its source."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from msgspec.structs import replace

from edgefleet_compiler.pack.file import write_file
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract import canonical
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.manifest import FileEntry
from support.commands import Ended, Run, runner
from support.model_files import CLASSES, write_calibration, write_classifier
from support.prunable_graphs import prunable_graph
from support.quantised_tflite import int8_network
from support.tflite_graphs import small_network

CERTIFICATE = "certificate.json"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "wasteful.tflite"
    path.write_bytes(write_tflite(prunable_graph(2)))
    return path


def compiled(run: Run, model: Path, out: Path, *more: object) -> tuple[Ended, Path]:
    ended = run("model", "compile", model, "--target", "nrf52840", "--out", out, *more)
    assert ended.status == 0, ended.err
    return ended, next((out / "nrf52840").glob("*.efb"))


def test_compile_says_in_one_line_what_went(run: Run, source: Path, tmp_path: Path) -> None:
    ended, bundle = compiled(run, source, tmp_path / "out")
    (line,) = [line for line in ended.out.splitlines() if "lossless pruning" in line]
    report = json.loads((bundle.parent / "report.json").read_text())["lossless"]
    assert line == f"nrf52840: lossless pruning {report['effect']}"
    assert line.startswith("nrf52840: lossless pruning took ")
    assert report["after"]["bytes"] < report["before"]["bytes"]
    assert report["after"]["macs"] < report["before"]["macs"]
    assert (bundle.parent / "model.tflite").stat().st_size == report["after"]["bytes"]
    page = (bundle.parent / "report.html").read_text()
    assert "Lossless pruning" in page
    assert all(layer["name"] in page for layer in report["layers"])


def test_compile_says_honestly_that_there_was_nothing_to_take(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "lean.tflite"
    model.write_bytes(write_tflite(int8_network()))
    ended, bundle = compiled(run, model, tmp_path / "out")
    assert "lossless pruning found nothing to take: no channel could go with outputs proved the same" in ended.out
    report = json.loads((bundle.parent / "report.json").read_text())["lossless"]
    assert report["before"] == report["after"]
    assert report["layers"] == []


def test_a_recipe_may_keep_every_channel(run: Run, source: Path, tmp_path: Path) -> None:
    _, bundle = compiled(run, source, tmp_path / "out")
    recipe = tmp_path / "all.toml"
    recipe.write_text((bundle.parent / "recipe.toml").read_text().replace("lossless = true", "lossless = false"))
    ended, other = compiled(run, source, tmp_path / "all", "--recipe", recipe)
    assert "lossless" not in ended.out
    assert other.stat().st_size > bundle.stat().st_size
    assert json.loads((other.parent / "report.json").read_text())["lossless"] is None


def test_a_bundle_is_rechecked_against_its_source(run: Run, source: Path, tmp_path: Path) -> None:
    _, bundle = compiled(run, source, tmp_path / "out")
    told = run("bundle", "verify", bundle, "--source", source)
    assert (told.status, told.err) == (0, "")
    assert "every claim of the certificate holds" in told.out
    found = run("bundle", "verify", bundle, "--source", source, "--json").document
    assert found["verified"] is True
    assert found["source"]["outcome"] == "rechecked"
    assert found["source"]["dialects"] == ["tflite-micro", "litert", "litert-reference"]
    assert found["source"]["removed_channels"] > 0
    assert run("bundle", "verify", bundle, "--json").document["source"] is None


def repacked(bundle: Path, destination: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The bundle with another certificate, and all hashes as they must then be: what an attacker would make."""
    with Bundle(bundle) as opened:
        manifest = opened.manifest
        files: dict[str, bytes | Path] = {entry.path: opened.read(entry.path) for entry in manifest.files}
    claims = json.loads(bytes(files[CERTIFICATE]))  # type: ignore[arg-type]  # all were read as bytes
    change(claims)
    changed = canonical.encode(claims)
    files[CERTIFICATE] = changed
    entries = [
        FileEntry(CERTIFICATE, canonical.sha256(changed), len(changed)) if entry.path == CERTIFICATE else entry
        for entry in manifest.files
    ]
    return write_file(destination, replace(manifest, files=entries), files).path


@pytest.mark.attack
@pytest.mark.parametrize(
    "change",
    [
        lambda claims: claims["removed"].pop(),
        lambda claims: claims["dialects"].append("onnxruntime"),
        lambda claims: claims.update(refers_to="unpruned"),
    ],
    ids=["removed", "dialects", "reference"],
)
def test_a_forged_certificate_is_exit_4_and_changes_nothing(
    run: Run, source: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    _, bundle = compiled(run, source, tmp_path / "out")
    forged = repacked(bundle, tmp_path / "forged.efb", change)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run("bundle", "verify", forged).status == 0, "its hashes are in order"
    ended = run("bundle", "verify", forged, "--source", source, "--json")
    assert ended.status == 4
    assert ended.document["error"]["code"] == "bundle.certificate_refused"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.attack
def test_another_source_is_exit_4(run: Run, source: Path, tmp_path: Path) -> None:
    _, bundle = compiled(run, source, tmp_path / "out")
    other = tmp_path / "other.tflite"
    other.write_bytes(write_tflite(prunable_graph(3)))
    ended = run("bundle", "verify", bundle, "--source", other)
    assert ended.status == 4
    assert "was not made from" in ended.err
    assert ended.out == ""


def test_a_source_that_is_not_there_is_exit_2(run: Run, source: Path, tmp_path: Path) -> None:
    _, bundle = compiled(run, source, tmp_path / "out")
    assert run("bundle", "verify", bundle, "--source", tmp_path / "nothing.tflite").status == 2


def wasteful_classifier(folder: Path) -> Path:
    """A float model two of whose six features nobody multiplies."""
    model = onnx.load(write_classifier(folder / "model.onnx"))
    (dense,) = [node for node in model.graph.node if node.op_type == "Gemm"]
    (weights,) = [tensor for tensor in model.graph.initializer if tensor.name == dense.input[1]]
    array = onnx.numpy_helper.to_array(weights).copy()
    array.reshape(CLASSES, 6, 16)[:, [1, 4]] = 0
    weights.CopyFrom(onnx.numpy_helper.from_array(array, weights.name))
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def test_what_was_quantised_here_is_rechecked_against_its_unpruned_artifact(run: Run, tmp_path: Path) -> None:
    model = wasteful_classifier(tmp_path)
    data = ("--calibration", write_calibration(tmp_path / "c.npz"), "--max-drop", "1")
    ended, bundle = compiled(run, model, tmp_path / "out", "--recipe", "int8", *data)
    assert "lossless pruning took " in ended.out
    told = run("bundle", "verify", bundle, "--source", model, "--json").document["source"]
    assert told["outcome"] == "unpruned-needed"
    assert "lossless = false" in told["says"]
    recipe = tmp_path / "all.toml"
    recipe.write_text((bundle.parent / "recipe.toml").read_text().replace("lossless = true", "lossless = false"))
    _, whole = compiled(run, model, tmp_path / "all", "--recipe", recipe, *data)
    told = run("bundle", "verify", bundle, "--source", whole.parent / "model.tflite", "--json").document["source"]
    assert told["outcome"] == "rechecked"


def test_without_a_certificate_the_lineage_is_all_that_is_told(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "float.tflite"
    model.write_bytes(write_tflite(small_network()))
    ended = run("model", "compile", model, "--target", "rpi4", "--recipe", "float", "--out", tmp_path / "out")
    assert ended.status == 0
    bundle = next((tmp_path / "out" / "rpi4").glob("*.efb"))
    told = run("bundle", "verify", bundle, "--source", model)
    assert told.status == 0
    assert "there is no certificate" in told.out
    other = tmp_path / "other.tflite"
    other.write_bytes(write_tflite(small_network(1)))
    assert run("bundle", "verify", bundle, "--source", other).status == 4


def test_bundles_are_the_same_whatever_the_folder(run: Run, source: Path, tmp_path: Path) -> None:
    first, second = (compiled(run, source, tmp_path / name)[1].read_bytes() for name in ("one", "other"))
    assert first == second
