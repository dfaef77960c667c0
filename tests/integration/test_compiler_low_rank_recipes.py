"""Recipes that factor layers, from the command line to the bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgefleet.main import main
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.compress.low_rank.choose import choose_ranks
from edgefleet_compiler.source import load_source

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"
EXAMPLE = ROOT / "examples" / "recipes" / "low-rank.toml"
SHARED = ROOT.parent / "shared"

pytestmark = pytest.mark.integration

RECIPE = """
version = 1
scheme = "int8"
format = "{form}"
io = "float"
io-layout = "source"
seed = 0

[compress.low-rank]
{layers}

[quantise]
rounding = "second-order"
bias-correction = true
narrow-pairs = {narrow}
"""


def compiled(model: Path, target: str, recipe: Path | str, data: tuple[Path, Path], out: Path) -> Path:
    """The folder of a target that the command line accepted."""
    options = {
        "--name": "m",
        "--version": "1.0.0",
        "--target": target,
        "--recipe": recipe,
        "--calibration": data[0],
        "--validation": data[1],
        "--out": out,
    }
    words = [str(word) for option in options.items() for word in option]
    assert main(["model", "compile", str(model), *words]) == 0
    return out / target


@pytest.mark.parametrize(
    ("target", "form", "artifact"), [("x86-64", "onnx", "model.onnx"), ("rpi4", "tflite", "model.tflite")]
)
def test_a_factored_model_is_smaller_and_its_written_recipe_gives_it_again(
    tmp_path: Path, target: str, form: str, artifact: str
) -> None:
    model, data = DIGITS / "digits.onnx", (DIGITS / "calibration.npz", DIGITS / "validation.npz")
    hub = load_source(model, input_shapes={}).hub
    inputs = np.load(data[0])["x"].astype(np.float32)[:64]
    ranks = choose_ranks(hub, [{hub.graph.inputs[0].name or "": case[None]} for case in inputs], 0.3)
    layers = "\n".join(f"{json.dumps(layer)} = {json.dumps(words)}" for layer, words in ranks.items())
    recipe = tmp_path / "low-rank.toml"
    recipe.write_text(RECIPE.format(form=form, layers=layers, narrow=str(form == "onnx").lower()))
    first = compiled(model, target, recipe, data, tmp_path / "first")
    plain = compiled(model, target, "int8", data, tmp_path / "plain")
    report, other = (json.loads((folder / "report.json").read_text()) for folder in (first, plain))
    assert report["weights_bytes"] < 0.85 * other["weights_bytes"]
    assert report["accuracy"]["drop"] <= 0.03
    assert "factor layers" in {step["name"] for step in report["passes"]}
    written = shutil.copy(first / "recipe.toml", tmp_path / "written.toml")
    again = compiled(model, target, written, data, tmp_path / "again")
    assert (again / artifact).read_bytes() == (first / artifact).read_bytes()


@pytest.mark.shared
def test_an_anomaly_detector_scores_alike_with_half_of_its_weights(tmp_path: Path) -> None:
    low, high = -84.9, 14.9  # input range of MLPerf's int8 model

    def drawn(name: str, seed: int, count: int) -> Path:
        normal = np.random.default_rng(seed).normal(size=(count, 640)) * (high - low) / 6 + (high + low) / 2
        np.savez(tmp_path / f"{name}.npz", x=np.clip(normal, low, high).astype(np.float32))
        return tmp_path / f"{name}.npz"

    source, validation = SHARED / "models" / "ad01_fp32.tflite", drawn("validation", 2, 500)
    folder = compiled(source, "rpi4", EXAMPLE, (drawn("calibration", 1, 300), validation), tmp_path / "out")
    report = json.loads((folder / "report.json").read_text())
    cases = np.load(validation)["x"]
    before, after = (
        np.array([np.square(runner.run([case[None]])[0] - case).mean() for case in cases])
        for runner in (
            open_runner(source.read_bytes(), "tflite"),
            open_runner((folder / "model.tflite").read_bytes(), "tflite"),
        )
    )
    assert report["weights_bytes"] <= 140_000
    assert report["parity"][0]["sqnr_db"] > 9
    # An output that is the same for every input shifts the scores of these inputs by 2.3 %.
    assert np.mean(np.abs(after - before) / before) <= 0.01
