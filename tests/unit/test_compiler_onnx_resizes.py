"""Upsample and the first Resize, which counted places otherwise than the Resize of today."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.importers.onnx import import_onnx
from edgefleet_compiler.passes import simplify
from edgefleet_contract.errors import OperatorUnsupported
from support.exports import assert_export_agrees, run_hub


def model_of(opset: int, mode: str, scales: tuple[float, float]) -> onnx.ModelProto:
    """An image (1, 2, 6, 8) resized; scales are an attribute until opset 8, and an input since."""
    full = [1.0, 1.0, *scales]
    operator = "Resize" if opset >= 10 else "Upsample"
    attributes = {"scales": full} if opset < 9 else {}
    node = helper.make_node(operator, ["x"] + ["scales"] * (opset >= 9), ["y"], "resize", mode=mode, **attributes)
    shape = (1, 2, int(6 * scales[0]), int(8 * scales[1]))
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 6, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array(full, np.float32), "scales")] * (opset >= 9),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)


@pytest.mark.parametrize("opset", [7, 8, 9, 10])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [(2.0, 3.0), (1.5, 1.0), (1.5, 2.5)])
def test_old_enlargements_compute_what_they_did(opset, mode, scales):
    source = model_of(opset, mode, scales)
    hub = import_onnx(source.SerializeToString(), folder=Path(), input_shapes={})
    simplify(hub)
    x = np.random.default_rng(0).normal(size=(1, 2, 6, 8)).astype(np.float32)
    expected = Session(source.SerializeToString()).run({"x": x})["y"]
    np.testing.assert_allclose(run_hub(hub, [x])[0], expected, atol=1e-6)
    assert_export_agrees(hub)


@pytest.mark.parametrize(
    ("mode", "scales"),
    [*((mode, scales) for mode in ("nearest", "linear") for scales in ((0.5, 0.5), (0.6, 1.0), (0.4, 0.7))),
     ("linear", (0.5, 2.0))],
)  # fmt: skip
def test_old_reductions_compute_what_they_did(mode, scales):
    source = model_of(10, mode, scales)
    hub = import_onnx(source.SerializeToString(), folder=Path(), input_shapes={})
    x = np.random.default_rng(0).normal(size=(1, 2, 6, 8)).astype(np.float32)
    expected = Session(source.SerializeToString()).run({"x": x})["y"]
    np.testing.assert_allclose(run_hub(hub, [x])[0], expected, atol=1e-6)


def test_an_image_that_gets_larger_and_smaller_is_refused_by_name():
    with pytest.raises(OperatorUnsupported, match="'resize'"):
        import_onnx(model_of(10, "nearest", (0.5, 2.0)).SerializeToString(), folder=Path(), input_shapes={})
