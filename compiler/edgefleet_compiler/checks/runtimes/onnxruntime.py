"""onnxruntime: runs ``.onnx`` files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgefleet_compiler.checks.runtimes import Runner
from edgefleet_compiler.hub.session import onnxruntime
from edgefleet_compiler.tensors import TensorInfo
from edgefleet_contract.errors import ModelMalformed
from edgefleet_contract.manifest import Affine

_DTYPES: dict[str, np.dtype[np.generic]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int16)": np.dtype(np.int16),
    "tensor(uint16)": np.dtype(np.uint16),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(bool)": np.dtype(np.bool_),
}
_INTEGER = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT16, onnx.TensorProto.UINT16)


class OnnxRuntimeRunner(Runner):
    """An ``.onnx`` file loaded into onnxruntime with the settings of a device.

    Args:
        data: The bytes of the file.
        optimise: Whether graph optimisations are on.
        threads: Within an operator.

    Raises:
        ModelMalformed: onnxruntime does not load it.
    """

    def __init__(self, data: bytes, *, optimise: bool, threads: int = 1) -> None:
        module: Any = onnxruntime()
        options = module.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4  # what goes wrong comes as an exception
        levels = module.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
        try:
            self._session = module.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as cause:  # onnxruntime has a class of its own for each status, below Exception
            raise ModelMalformed(f"onnxruntime does not load the model: {cause}") from cause
        parameters = _boundary_parameters(data)
        self.inputs = tuple(_describe(entry, parameters) for entry in self._session.get_inputs())
        self.outputs = tuple(_describe(entry, parameters) for entry in self._session.get_outputs())

    def infer(self, stored: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """One inference on stored values; see ``Runner``."""
        feeds = {tensor.name: value for tensor, value in zip(self.inputs, stored, strict=True)}
        try:
            return list(self._session.run(None, feeds))
        except Exception as cause:  # as above: what is left to fail is memory
            raise ModelMalformed(f"onnxruntime cannot run the model: {cause}") from cause


def _describe(entry: Any, parameters: Mapping[str, Affine]) -> TensorInfo:
    shape = tuple(size if isinstance(size, int) else 1 for size in entry.shape)  # an open batch is run as 1
    return TensorInfo(entry.name, shape, _DTYPES[entry.type], quantisation=parameters.get(entry.name))


def _boundary_parameters(data: bytes) -> dict[str, Affine]:
    """Parameters of integer inputs and outputs, by name."""
    graph = onnx.load_model_from_string(data).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    behind = [(node, node.input, node.output) for node in graph.node]
    before = [(node, node.output, node.input) for node in reversed(graph.node)]
    nearest = {
        **_nearest("DequantizeLinear", behind, _integers(graph.input)),
        **_nearest("QuantizeLinear", before, _integers(graph.output)),
    }
    return {
        name: Affine(*(constants[parameter].item() for parameter in node.input[1:3])) for name, node in nearest.items()
    }


def _integers(values: Iterable[onnx.ValueInfoProto]) -> list[str]:
    return [value.name for value in values if value.type.tensor_type.elem_type in _INTEGER]


def _nearest(
    kind: str, steps: Iterable[tuple[onnx.NodeProto, Sequence[str], Sequence[str]]], borders: Iterable[str]
) -> dict[str, onnx.NodeProto]:
    """The first node of a kind on the way inwards from each border.

    What stands between moves stored integers or shares their parameters: Transpose, Reshape, MaxPool.

    Args:
        kind: Operator.
        steps: Nodes in the order of the way, each with the values on its near and on its far side.
        borders: Names of inputs or outputs.
    """
    reached = {name: name for name in borders}
    found: dict[str, onnx.NodeProto] = {}
    for node, near, far in steps:
        border = next((reached[value] for value in near if value in reached), None)
        if border is None or border in found:
            continue
        if node.op_type == kind:
            found[border] = node
        else:
            reached[far[0]] = border
    return found
