"""Small ONNX models for the compiler's tests, written node by node with random weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper


class OnnxGraph:
    """An ONNX model in the making; every method returns the name of the value it adds."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._count = 0

    def input(self, name: str, *shape: int, dtype: type[np.generic] = np.float32) -> str:
        element_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._inputs.append(helper.make_tensor_value_info(name, element_type, shape))
        return name

    def constant(self, array: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        name = self._name("constant")
        self._initializers.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def weights(self, *shape: int, fan_in: int | None = None) -> str:
        """Normally distributed weights, scaled so that activations keep their variance."""
        size = int(np.prod(shape[1:])) if fan_in is None else fan_in
        return self.constant(self.random.normal(0, 1 / np.sqrt(max(size, 1)), shape))

    def node(self, operator: str, *inputs: str, outputs: int = 1, name: str = "", **attributes: object) -> str:
        label = name or self._name(operator.lower())
        results = [label if index == 0 else f"{label}_{index}" for index in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, results, f"node_{label}", **attributes))
        return label

    def conv(
        self, source: str, channels: Sequence[int], kernel: Sequence[int], *, bias: bool = True, **attributes: object
    ) -> str:
        """A convolution; ``channels`` are those of the input and of the output."""
        groups = attributes.get("group", 1)
        assert isinstance(groups, int)
        inputs = [source, self.weights(channels[1], channels[0] // groups, *kernel)]
        if bias:
            inputs.append(self.constant(self.random.normal(0, 0.3, channels[1])))
        return self.node("Conv", *inputs, kernel_shape=list(kernel), **attributes)

    def gemm(self, source: str, inputs: int, outputs: int) -> str:
        """A fully connected layer in the hub's normal form."""
        weight, bias = self.weights(outputs, inputs), self.constant(self.random.normal(0, 0.3, outputs))
        return self.node("Gemm", source, weight, bias, transB=1)

    def reshape(self, source: str, *shape: int) -> str:
        return self.node("Reshape", source, self.constant(shape, np.int64))

    def clip(self, source: str, low: float, high: float) -> str:
        return self.node("Clip", source, self.constant(low), self.constant(high))

    def pair(self, source: str, scale: float, zero_point: int, name: str = "") -> str:
        """A QuantizeLinear and a DequantizeLinear around int8."""
        parameters = [self.constant(scale), self.constant(zero_point, np.int8)]
        return self.node("DequantizeLinear", self.node("QuantizeLinear", source, *parameters), *parameters, name=name)

    def stored(self, array: NDArray[np.generic], scale: ArrayLike, axis: int = 0) -> str:
        """An integer constant seen through DequantizeLinear, with a zero point of 0."""
        scales = np.asarray(scale, np.float32)
        value = self.constant(array, type(array.dtype.type(0)))
        zeros = self.constant(np.zeros(scales.shape), type(array.dtype.type(0)))
        return self.node(
            "DequantizeLinear", value, self.constant(scales), zeros, **({"axis": axis} if scales.ndim else {})
        )

    def proto(self, *outputs: str) -> onnx.ModelProto:
        """The model, opset 21, every value with its shape."""
        infos = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(self._nodes, "graph", self._inputs, infos, self._initializers)
        opset = helper.make_opsetid("", 21)
        model = helper.make_model(graph, ir_version=10, opset_imports=[opset])
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        onnx.checker.check_model(inferred, full_check=True)
        return inferred

    def model(self, *outputs: str) -> ir.Model:
        """As ``proto``, in the compiler's representation."""
        return ir.from_proto(self.proto(*outputs))

    def _name(self, base: str) -> str:
        self._count += 1
        return f"{base}_{self._count}"
