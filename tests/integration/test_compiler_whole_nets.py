"""Recurrent nets, a transformer block and U-Nets: compiled by every recipe, in both formats, against their source."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import pytest

import edgefleet_compiler
from edgefleet_compiler.api import CompiledModel
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.tflite.reader import read_tflite
from support.whole_nets import WHOLE_NETS

FORMATS = {"onnx": "x86-64", "tflite": "rpi4"}
LEAST_SQNR_DB = {"int8": 30.0, "int16x8": 32.0}
"""Of an artifact against its float source: below it, noise shows in the second decimal of a probability."""

SOURCE_TRANSPOSES = {"transformer": 4}
"""Transposes that are the source's own: three that part the heads of attention, one that joins them."""


@cache
def source(net: str) -> onnx.ModelProto:
    return WHOLE_NETS[net]()


def shape_of(net: str) -> tuple[int, ...]:
    return tuple(dimension.dim_value for dimension in source(net).graph.input[0].type.tensor_type.shape.dim)


def cases(net: str, count: int, seed: int) -> np.ndarray:
    """Random inputs, the case first."""
    return np.random.default_rng(seed).normal(size=(count, *shape_of(net)[1:])).astype(np.float32)


@cache
def compiled(net: str, model_format: str, recipe: str, io_layout: str = "source") -> CompiledModel:
    return edgefleet_compiler.compile(
        source(net),
        FORMATS[model_format],
        format=model_format,
        recipe=recipe,
        io_layout=io_layout,
        calibration=cases(net, 40, seed=0),
        validation=cases(net, 20, seed=1),
    )


def outputs(net: str, data: bytes, model_format: str) -> np.ndarray:
    runner = open_runner(data, model_format)
    return np.stack([runner.run([case[np.newaxis]])[0] for case in cases(net, 8, seed=2)])


def expected(net: str) -> np.ndarray:
    return outputs(net, source(net).SerializeToString(), "onnx")


@pytest.mark.parametrize("model_format", FORMATS)
@pytest.mark.parametrize("net", WHOLE_NETS)
def test_float_artifacts_compute_what_their_source_does(net, model_format):
    wanted = expected(net)
    got = outputs(net, compiled(net, model_format, "float").data, model_format)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * float(np.ptp(wanted)))


@pytest.mark.parametrize("model_format", FORMATS)
@pytest.mark.parametrize("net", WHOLE_NETS)
def test_half_width_artifacts_are_smaller_and_nearly_as_exact(net, model_format):
    artifact = compiled(net, model_format, "fp16")
    wanted = expected(net)
    got = outputs(net, artifact.data, model_format)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=5e-3 * float(np.ptp(wanted)))
    assert len(artifact.data) < len(compiled(net, model_format, "float").data)


@pytest.mark.parametrize("model_format", FORMATS)
@pytest.mark.parametrize("recipe", LEAST_SQNR_DB)
@pytest.mark.parametrize("net", WHOLE_NETS)
def test_artifacts_of_integers_keep_the_signal_far_above_the_noise(net, recipe, model_format):
    wanted = expected(net)
    noise = outputs(net, compiled(net, model_format, recipe).data, model_format) - wanted
    assert 10 * np.log10(np.square(wanted).sum() / np.square(noise).sum()) > LEAST_SQNR_DB[recipe]


@pytest.mark.parametrize("recipe", ["float", "int8"])
@pytest.mark.parametrize("net", WHOLE_NETS)
def test_no_transpose_is_added_inside_a_tflite_artifact(net, recipe):
    graph = read_tflite(compiled(net, "tflite", recipe).data)
    pairs = [operator for operator in graph.operators if operator.kind in {"QUANTIZE", "DEQUANTIZE"}]
    border = {*graph.inputs, *graph.outputs}
    border |= {name for pair in pairs for name in (str(pair.inputs[0]), *pair.outputs)}
    inside = [
        operator
        for operator in graph.operators
        if operator.kind == "TRANSPOSE" and not border.intersection(map(str, [operator.inputs[0], *operator.outputs]))
    ]
    assert len(inside) <= SOURCE_TRANSPOSES.get(net, 0)


@pytest.mark.parametrize("recipe", ["float", "int8"])
@pytest.mark.parametrize("net", WHOLE_NETS)
def test_in_the_native_order_a_tflite_artifact_has_none_but_the_sources(net, recipe):
    graph = read_tflite(compiled(net, "tflite", recipe, "native").data)
    transposes = [operator for operator in graph.operators if operator.kind == "TRANSPOSE"]
    assert len(transposes) <= SOURCE_TRANSPOSES.get(net, 0)


@pytest.mark.parametrize("recipe", ["float", "int8"])
@pytest.mark.parametrize("net", WHOLE_NETS)
def test_no_transpose_is_added_to_an_onnx_artifact(net, recipe):
    nodes = onnx.load_model_from_string(compiled(net, "onnx", recipe).data).graph.node
    transposes = sum(node.op_type == "Transpose" for node in nodes)
    assert transposes <= sum(node.op_type == "Transpose" for node in source(net).graph.node)
