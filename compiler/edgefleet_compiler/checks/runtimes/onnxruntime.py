"""onnxruntime: runs ``.onnx`` files on one thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

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
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(bool)": np.dtype(np.bool_),
}


class OnnxRuntimeRunner:
    """An ``.onnx`` file loaded into onnxruntime with the settings of a device.

    Args:
        data: The bytes of the file.
        optimise: Whether graph optimisations are on.

    Raises:
        ModelMalformed: onnxruntime does not load it.
    """

    def __init__(self, data: bytes, *, optimise: bool) -> None:
        module: Any = onnxruntime()
        options = module.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
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

    def run(self, values: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """One inference on real values; see ``Runner``."""
        feeds = {tensor.name: tensor.store(value) for tensor, value in zip(self.inputs, values, strict=True)}
        results = self._session.run(None, feeds)
        return [tensor.load(result) for tensor, result in zip(self.outputs, results, strict=True)]


def _describe(entry: Any, parameters: Mapping[str, Affine]) -> TensorInfo:
    shape = tuple(size if isinstance(size, int) else 1 for size in entry.shape)  # an open batch is run as 1
    return TensorInfo(entry.name, shape, _DTYPES[entry.type], quantisation=parameters.get(entry.name))


def _boundary_parameters(data: bytes) -> dict[str, Affine]:
    """Parameters of integer inputs and outputs: those of the DequantizeLinear or QuantizeLinear at the border."""
    graph = onnx.load_model_from_string(data).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    integer_io = {
        value.name
        for value in (*graph.input, *graph.output)
        if value.type.tensor_type.elem_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    }
    parameters = {}
    for node in graph.node:
        border = {"DequantizeLinear": node.input[:1], "QuantizeLinear": node.output[:1]}.get(node.op_type, [])
        for name in integer_io.intersection(border):
            scale, zero_point = (onnx.numpy_helper.to_array(constants[parameter]) for parameter in node.input[1:3])
            parameters[name] = Affine(float(scale), int(zero_point))
    return parameters
