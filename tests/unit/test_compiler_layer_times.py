"""Times of each layer in an artifact and in its float model."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_compiler.artifact import Artifact, Workbench
from edgefleet_compiler.benchmark.layer_times import layer_times
from edgefleet_compiler.data import Normalisation, open_data_set
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.source import load_source
from edgefleet_hardware.profile import Format

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


def built(form: Format) -> tuple[Artifact, Artifact]:
    """The digits in int8 and in float."""
    source = load_source(DIGITS / "digits.onnx", input_shapes={})
    data = open_data_set(DIGITS / "calibration.npz", source.inputs, normalisation=Normalisation(), labels=None)
    bench = Workbench(source, data, Silent())
    recipe = Recipe(scheme="int8", format=form, io="float", io_layout="source", seed=0, quantise=Settings())
    max_opset = 21 if form == "onnx" else None
    return bench.build(recipe, max_opset=max_opset), bench.build_float(recipe, max_opset=max_opset)


@pytest.mark.parametrize("form", ["onnx", "tflite"])
def test_every_layer_with_weights_has_a_time_in_both_models(form: Format) -> None:
    artifact, baseline = built(form)
    times = layer_times(artifact, baseline)
    assert artifact.hub is not None
    layers = [node.name for node in artifact.hub.graph if node.op_type in ("Conv", "Gemm")]
    assert set(layers) <= set(times)
    assert all(min(times[layer]) > 0 for layer in layers)
    assert times[None].artifact > times[None].baseline  # quantising the input and dequantising the output
