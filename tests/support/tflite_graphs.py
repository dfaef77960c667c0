"""Small TFLite models for the compiler's tests, and the runtimes that judge them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx_ir as ir
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.lowered.graph import AttributeValue, LoweredGraph, Operator, Quantisation, Tensor

Array = NDArray[Any]
Shape = tuple[int, ...]
SHARED_MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"
SHARED_FLOAT = ("ad01_fp32", "kws_ref_model_float32", "pretrainedResnet", "vww_96_float")
SHARED_INT8 = ("ad01_int8", "kws_ref_model", "pretrainedResnet_quant", "vww_96_int8")


def per_tensor(scale: float, zero_point: int = 0) -> Quantisation:
    return Quantisation(np.array([scale], np.float32), np.array([zero_point], np.int64))


def per_channel(scales: Sequence[float], axis: int) -> Quantisation:
    return Quantisation(np.array(scales, np.float32), np.zeros(len(scales), np.int64), axis)


class TfliteGraph:
    """A lowered graph in the making; every method returns the name of the tensor it adds."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self._graph = LoweredGraph()

    def input(
        self, shape: Shape, dtype: type[np.generic] = np.float32, quantisation: Quantisation | None = None
    ) -> str:
        name = self._add("input", shape, np.dtype(dtype), quantisation)
        self._graph.inputs.append(name)
        return name

    def constant(self, array: Any, dtype: type[np.generic], quantisation: Quantisation | None = None) -> str:
        data = np.asarray(array, dtype)
        return self._add("constant", data.shape, data.dtype, quantisation, data)

    def state(self, shape: Shape, dtype: type[np.generic], quantisation: Quantisation | None = None) -> str:
        name = self._add("state", shape, np.dtype(dtype), quantisation)
        self._graph.tensors[name].variable = True
        return name

    def weights(self, *shape: int) -> str:
        return self.constant(self.random.normal(0, 1, shape), np.float32)

    def indices(self, *values: Any) -> str:
        return self.constant(values, np.int32)

    def shape(self, name: str) -> Shape:
        return self._graph.tensors[name].shape

    def add(
        self,
        kind: str,
        inputs: Sequence[str | None],
        shape: Shape,
        dtype: type[np.generic] = np.float32,
        quantisation: Quantisation | None = None,
        **attributes: AttributeValue,
    ) -> str:
        name = self._add(kind.lower(), shape, np.dtype(dtype), quantisation)
        self._graph.operators.append(Operator(kind, list(inputs), [name], attributes, source=name))
        return name

    def add_many(
        self, kind: str, inputs: Sequence[str | None], shapes: Sequence[Shape], **attributes: AttributeValue
    ) -> list[str]:
        """An operator with several float outputs."""
        names = [self._add(kind.lower(), shape, np.dtype(np.float32), None) for shape in shapes]
        self._graph.operators.append(Operator(kind, list(inputs), names, attributes, source=names[0]))
        return names

    def graph(self, *outputs: str) -> LoweredGraph:
        self._graph.outputs = list(outputs)
        return self._graph

    def _add(
        self,
        base: str,
        shape: Shape,
        dtype: np.dtype[np.generic],
        quantisation: Quantisation | None,
        data: Array | None = None,
    ) -> str:
        return self._graph.add_tensor(Tensor(self._graph.fresh_name(base), shape, dtype, quantisation, data))


def small_network(seed: int = 0) -> LoweredGraph:
    """Convolution, depthwise convolution, residual, mean, fully connected, softmax: float, 16 x 16 x 3 in."""
    graph = TfliteGraph(seed)
    image = graph.input((1, 16, 16, 3))
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    stem = graph.add(
        "CONV_2D",
        [image, graph.weights(8, 3, 3, 3), graph.weights(8)],
        (1, 16, 16, 8),
        fused_activation_function="RELU",
        **options,
    )
    branch = graph.add(
        "DEPTHWISE_CONV_2D",
        [stem, graph.weights(1, 3, 3, 8), graph.weights(8)],
        (1, 16, 16, 8),
        depth_multiplier=1,
        fused_activation_function="RELU6",
        **options,
    )
    joined = graph.add("ADD", [stem, branch], (1, 16, 16, 8))
    pooled = graph.add("MEAN", [joined, graph.indices(1, 2)], (1, 8), keep_dims=False)
    logits = graph.add("FULLY_CONNECTED", [pooled, graph.weights(4, 8), graph.weights(4)], (1, 4))
    return graph.graph(graph.add("SOFTMAX", [logits], (1, 4), beta=1.0))


def small_int8_network(seed: int = 0) -> LoweredGraph:
    """Per-channel int8 convolution and softmax, 8 x 8 x 2 in."""
    graph = TfliteGraph(seed)
    image = graph.input((1, 8, 8, 2), np.int8, per_tensor(0.02, -3))
    scales = [0.01, 0.02, 0.005, 0.01]
    weights = graph.constant(graph.random.integers(-127, 128, (4, 3, 3, 2)), np.int8, per_channel(scales, 0))
    bias = graph.constant(
        graph.random.integers(-500, 500, 4), np.int32, per_channel([0.02 * scale for scale in scales], 0)
    )
    features = graph.add(
        "CONV_2D",
        [image, weights, bias],
        (1, 4, 4, 4),
        np.int8,
        per_tensor(0.05, -128),
        padding="SAME",
        stride_h=2,
        stride_w=2,
        fused_activation_function="RELU",
    )
    flat = graph.add(
        "RESHAPE", [features, graph.indices(1, 64)], (1, 64), np.int8, per_tensor(0.05, -128), new_shape=[1, 64]
    )
    return graph.graph(graph.add("SOFTMAX", [flat], (1, 64), np.int8, per_tensor(1 / 256, -128), beta=1.0))


def random_inputs(graph: LoweredGraph, seed: int = 0) -> list[Array]:
    """One array an input: normally distributed, or uniform over the integers of its type."""
    random = np.random.default_rng(seed)
    arrays = []
    for tensor in (graph.tensors[name] for name in graph.inputs):
        if np.issubdtype(tensor.dtype, np.integer):
            limits = np.iinfo(tensor.dtype)
            arrays.append(random.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True))
        else:
            arrays.append(random.normal(0, 1, tensor.shape).astype(tensor.dtype))
    return arrays


def run_litert(
    data: bytes,
    inputs: Sequence[Array],
    resolver: OpResolverType = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
) -> list[Array]:
    """What LiteRT makes of the inputs, by default without XNNPACK."""
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).copy() for detail in interpreter.get_output_details()]


def run_onnx(model: ir.Model, inputs: Sequence[Array]) -> list[Array]:
    """What onnxruntime makes of the inputs, in the order of the model's.

    Each node is computed as it stands: onnxruntime's optimiser fuses a Pad into a pool whose kernel is smaller than the
    padding, and then refuses its own result.
    """
    session = Session(model, optimise=False)
    return list(session.run(dict(zip(session.inputs, inputs, strict=True))).values())


def assert_close(ours: Sequence[Array], theirs: Sequence[Array], tolerance: float = 1e-5) -> None:
    """Equal within ``tolerance`` of the range of what is expected."""
    assert len(ours) == len(theirs)
    for got, wanted in zip(ours, theirs, strict=True):
        assert got.shape == wanted.shape
        scale = max(float(np.abs(wanted).max()), 1e-3)
        np.testing.assert_allclose(got / scale, wanted / scale, rtol=0, atol=tolerance)


def edited(data: bytes, edit: Callable[[Any], None]) -> bytes:
    """The file after ``edit`` has changed its object tree (the generated ``ModelT``)."""
    model = schema.ModelT.InitFromPackedBuf(data)
    edit(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
