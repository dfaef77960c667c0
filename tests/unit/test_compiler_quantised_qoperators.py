"""Each QOperator node as pairs around its operator: what onnxruntime computes of the node, the hub computes too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.source import load_source
from edgefleet_contract.errors import OperatorUnsupported

MICROSOFT = "com.microsoft"
INPUT = ["q", "xs", "xz"]
RESULT = ["ys", "yz"]
WEIGHTS = np.random.default_rng(0).integers(-90, 90, (3, 3, 2, 2)).astype(np.int8)
SCALES = {
    "xs": np.float32(0.02), "xz": np.uint8(120), "ys": np.float32(0.05), "yz": np.uint8(100),
    "w": WEIGHTS, "ws": np.array([0.01, 0.02, 0.005], np.float32), "wz": np.zeros(3, np.int8),
    "b": np.array([500, -300, 0], np.int32),
    "m": WEIGHTS.reshape(6, 6), "ms": np.float32(0.01), "mz": np.int8(0),
    "c": np.arange(36, dtype=np.uint8).reshape(1, 1, 6, 6), "cs": np.float32(0.03), "cz": np.uint8(7),
    "columns": np.linspace(0.01, 0.02, 6).astype(np.float32), "zeros": np.zeros(6, np.int8),
    "gb": np.arange(6, dtype=np.int32),
}  # fmt: skip


def written(nodes: list[onnx.NodeProto], folder: Path) -> Path:
    """A model from x (1, 3, 6, 6) through integers to y."""
    whole = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"], "quantise"),
        *nodes,
        helper.make_node("DequantizeLinear", ["r", "ys", "yz"], ["y"], "dequantise"),
    ]
    used = {name for node in whole for name in node.input}
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in SCALES.items() if name in used]
    graph = helper.make_graph(
        whole,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    path = folder / "m.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return path


def node(operator: str, inputs: list[str], domain: str = MICROSOFT, **attributes: Any) -> list[onnx.NodeProto]:
    return [helper.make_node(operator, inputs, ["r"], "node", domain=domain, **attributes)]


def flattened(operator: str, inputs: list[str], domain: str = MICROSOFT, **attributes: Any) -> list[onnx.NodeProto]:
    """A product of the rows of the image, moved there as integers."""
    shape = numpy_helper.from_array(np.array([18, 6], np.int64))
    return [
        helper.make_node("Constant", [], ["rows"], value=shape),
        helper.make_node("Reshape", ["q", "rows"], ["flat"], "flatten"),
        *node(operator, ["flat", *inputs], domain, **attributes),
    ]


NODES = {
    "QLinearConv": node("QLinearConv", [*INPUT, "w", "ws", "wz", *RESULT, "b"], "", pads=[1, 0, 0, 1]),
    "QLinearMatMul": flattened("QLinearMatMul", ["xs", "xz", "m", "columns", "zeros", *RESULT], ""),
    "QGemm": flattened("QGemm", ["xs", "xz", "m", "ms", "mz", "gb", *RESULT], transB=1, alpha=1.0),
    "QLinearAdd": node("QLinearAdd", [*INPUT, "c", "cs", "cz", *RESULT]),
    "QLinearMul": node("QLinearMul", [*INPUT, "c", "cs", "cz", *RESULT]),
    "QLinearAveragePool": node("QLinearAveragePool", [*INPUT, *RESULT], kernel_shape=[2, 2], strides=[2, 2]),
    "QLinearGlobalAveragePool": node("QLinearGlobalAveragePool", [*INPUT, *RESULT]),
    "QLinearLeakyRelu": node("QLinearLeakyRelu", [*INPUT, *RESULT], alpha=0.1),
    "QLinearSigmoid": node("QLinearSigmoid", [*INPUT, *RESULT]),
    "QLinearSoftmax": node("QLinearSoftmax", [*INPUT, *RESULT], axis=-1, opset=13),
    "QLinearConcat": node("QLinearConcat", [*RESULT, *INPUT, *INPUT], axis=1),
}


def outputs(path: Path, image: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """What onnxruntime makes of the file, and of the hub."""
    hub = load_source(path, input_shapes={}).hubs.quantised
    assert hub is not None
    (expected,) = open_runner(path.read_bytes(), "onnx", execution="plain").run([image])
    (seen,) = Session(hub, optimise=False).run({"x": image}).values()
    return expected, seen


@pytest.mark.parametrize("operator", NODES)
def test_a_node_is_its_operator_between_pairs(operator: str, tmp_path: Path) -> None:
    path = written(NODES[operator], tmp_path)
    for seed in range(5):
        image = np.random.default_rng(seed).normal(0, 1, (1, 3, 6, 6)).astype(np.float32)
        expected, seen = outputs(path, image)
        assert expected.shape == seen.shape
        steps = np.abs(expected - seen) / SCALES["ys"]
        assert steps.max() < 1.5
        assert (steps > 0.5).mean() < 0.2  # ties, which kernels round in their own ways


MOVED = {
    "MaxPool": {"kernel_shape": [2, 2]},
    "Transpose": {"perm": [0, 2, 3, 1]},
    "Identity": {},
}


@pytest.mark.parametrize("operator", MOVED)
def test_integers_that_are_merely_moved_are_moved_as_reals(operator: str, tmp_path: Path) -> None:
    moved = helper.make_node(operator, ["q"], ["moved"], "move", **MOVED[operator])  # type: ignore[arg-type]  # any kind
    path = written([moved, *node("QLinearSigmoid", ["moved", "xs", "xz", *RESULT])], tmp_path)
    expected, seen = outputs(path, np.random.default_rng(0).normal(0, 1, (1, 3, 6, 6)).astype(np.float32))
    np.testing.assert_allclose(seen, expected, atol=0.051)


@pytest.mark.parametrize(
    ("operator", "attributes"), [("QLinearSoftmax", {"axis": 1, "opset": 12}), ("QLinearReduceMean", {})]
)
def test_nodes_that_are_not_known_are_refused_by_name(
    operator: str, attributes: dict[str, int], tmp_path: Path
) -> None:
    path = written(node(operator, [*INPUT, *RESULT], **attributes), tmp_path)
    with pytest.raises(OperatorUnsupported, match=rf"'node' \(com.microsoft.{operator}\)"):
        load_source(path, input_shapes={})
