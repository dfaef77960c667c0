"""Recipes written by hand that ask for weights of 4 bits, from the command line to the bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgefleet.main import main

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"
EXAMPLE = ROOT / "examples" / "recipes" / "four-bit-weights.toml"
SHARED = ROOT.parent / "shared"

pytestmark = pytest.mark.integration

FIRST = (
    "model/activation/Relu;model/batch_normalization/FusedBatchNormV3;model/conv2d/BiasAdd/ReadVariableOp/resource;"
    "model/conv2d/BiasAdd;model/conv2d_2/Conv2D;model/conv2d/Conv2D1"
)
LAST = "model/dense/MatMul;model/dense/BiasAdd"

MINIMAL = f"""
version = 1
scheme = "int8"
format = "{{format}}"
io = "float"
io-layout = "source"
seed = 0

[quantise]
calibration = "percentile 99.99"
weights = "int4"
rounding = "{{rounding}}"
bias-correction = true
narrow-pairs = {{narrow}}

[quantise.layers."{FIRST}"]
weights = "int8"

[quantise.layers."{LAST}"]
weights = "int8"
"""


def compiled(model: Path, target: str, recipe: Path | str, calibration: Path, validation: Path, out: Path) -> Path:
    """The folder of a target that the command line accepted."""
    options = {
        "--name": "m",
        "--version": "1.0.0",
        "--target": target,
        "--recipe": recipe,
        "--calibration": calibration,
        "--validation": validation,
        "--max-drop": "0.01",
        "--out": out,
    }
    words = [str(word) for option in options.items() for word in option]
    assert main(["model", "compile", str(model), *words]) == 0
    return out / target


def test_the_example_halves_the_weights_of_the_digits_for_at_most_one_point(tmp_path: Path) -> None:
    data = DIGITS / "calibration.npz", DIGITS / "validation.npz"
    narrow, plain = (
        compiled(DIGITS / "digits.onnx", "x86-64", recipe, *data, tmp_path / out)
        for recipe, out in ((EXAMPLE, "narrow"), ("int8", "plain"))
    )
    assert (narrow / "model.onnx").stat().st_size < 0.75 * (plain / "model.onnx").stat().st_size


def test_the_recipe_written_of_the_example_gives_the_same_artifact(tmp_path: Path) -> None:
    data = DIGITS / "calibration.npz", DIGITS / "validation.npz"
    first = compiled(DIGITS / "digits.onnx", "x86-64", EXAMPLE, *data, tmp_path / "first")
    written = shutil.copy(first / "recipe.toml", tmp_path / "written.toml")
    again = compiled(DIGITS / "digits.onnx", "x86-64", written, *data, tmp_path / "again")
    assert (again / "model.onnx").read_bytes() == (first / "model.onnx").read_bytes()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("target", "form", "rounding"), [("x86-64", "onnx", "adaptive"), ("rpi4", "tflite", "second-order")]
)
def test_an_image_classifier_with_weights_of_four_bits_loses_at_most_one_point(
    tmp_path: Path, target: str, form: str, rounding: str
) -> None:
    recipe = tmp_path / "four-bits.toml"
    recipe.write_text(MINIMAL.format(format=form, rounding=rounding, narrow=str(form == "onnx").lower()))
    data = (SHARED / "data" / f"cifar10_{part}.npz" for part in ("calibration", "validation"))
    folder = compiled(SHARED / "models" / "pretrainedResnet.tflite", target, recipe, *data, tmp_path / "out")
    accuracy = json.loads((folder / "report.json").read_text())["accuracy"]
    assert accuracy["metric"] == "top1"
    assert accuracy["drop"] <= 0.01


EVERYWHERE = """
version = 1
scheme = "int8"
format = "{form}"
io = "float"
io-layout = "source"
seed = 0

[quantise]
weights = "int4"
fully-connected = "{scales}"
rounding = "adaptive"
bias-correction = true
narrow-pairs = {narrow}
"""


@pytest.mark.shared
@pytest.mark.parametrize(
    ("target", "form", "scales"),
    [("x86-64", "onnx", "per-channel"), ("rpi4", "tflite", "per-channel"), ("nrf52840", "tflite", "per-tensor")],
)
def test_an_image_classifier_takes_42_kb_of_weights_without_labels_and_loses_at_most_one_point(
    tmp_path: Path, target: str, form: str, scales: str
) -> None:
    recipe, inputs = tmp_path / "four-bits.toml", tmp_path / "inputs.npz"
    recipe.write_text(EVERYWHERE.format(form=form, scales=scales, narrow=str(form == "onnx").lower()))
    with np.load(SHARED / "data" / "cifar10_calibration.npz") as archive:
        np.savez(inputs, x=archive["x"])
    validation = SHARED / "data" / "cifar10_validation.npz"
    folder = compiled(
        SHARED / "models" / "pretrainedResnet.tflite", target, recipe, inputs, validation, tmp_path / "out"
    )
    report = json.loads((folder / "report.json").read_text())
    assert report["weights_bytes"] <= 42_000
    assert report["accuracy"]["drop"] <= 0.01
    assert report["parity"][0]["argmax_agreement"] > 0.9
    assert report["parity"][0]["sqnr_db"] > 15
