"""Random convolutional networks give the same in onnxruntime and, exported, in LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings

from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.importers.onnx import import_onnx
from edgefleet_compiler.passes import simplify
from support.cnn_models import cnns
from support.exports import kinds, random_inputs, run_tflite

pytestmark = pytest.mark.property

steady = settings(derandomize=True, deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))


def hub_of(source: onnx.ModelProto):
    model = import_onnx(source.SerializeToString(), folder=Path(), input_shapes={})
    simplify(model)
    return model


def run_source(source: onnx.ModelProto, inputs):
    # Unoptimised: onnxruntime's own fusion of a Pad into a pool that is narrower fails when it loads the model.
    session = Session(source.SerializeToString(), optimise=False)
    return list(session.run(dict(zip(session.inputs, inputs, strict=True))).values())


@steady
@given(cnns())
def test_a_float_export_computes_what_onnxruntime_computes_of_the_source(source):
    model = hub_of(source)
    inputs = random_inputs(model)
    (expected,) = run_source(source, inputs)
    data, lowered = export_tflite(model, io="float", io_layout="source")
    assert kinds(lowered).count("TRANSPOSE") <= 1 + (expected.ndim == 4)
    scale = max(float(np.abs(expected).max()), 1.0)  # activations are of the order of 1: less is what cancelled
    for delegates in (True, False):
        (ours,) = run_tflite(data, inputs, delegates=delegates)
        np.testing.assert_allclose(ours / scale, expected / scale, rtol=0, atol=1e-5)
