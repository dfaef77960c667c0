"""What the TFLite writer puts into a file, and what runtimes make of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_compiler.tflite.builder import InterningBuilder, vector_of_int32
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_compiler.tflite.writer import write_tflite
from support.tflite_graphs import (
    TfliteGraph,
    edited,
    per_tensor,
    random_inputs,
    run_litert,
    small_int8_network,
    small_network,
)

NETWORKS = [small_network, small_int8_network]


def objects(graph: LoweredGraph) -> Any:
    """The object tree of the file that a graph becomes."""
    return schema.ModelT.InitFromPackedBuf(write_tflite(graph))


@pytest.mark.parametrize("network", NETWORKS)
def test_litert_runs_what_is_written(network: Callable[[], LoweredGraph]) -> None:
    graph = network()
    for resolver in (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO):
        outputs = run_litert(write_tflite(graph), random_inputs(graph), resolver)
        assert outputs[0].shape == graph.tensors[graph.outputs[0]].shape
        assert np.ptp(outputs[0].astype(np.float64)) > 0


@pytest.mark.parametrize("network", NETWORKS)
def test_reading_and_writing_again_gives_the_same_bytes(network: Callable[[], LoweredGraph]) -> None:
    data = write_tflite(network())
    assert write_tflite(read_tflite(data)) == data


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("seed", range(3))
def test_files_that_differ_only_in_the_order_of_their_parts_become_one(
    network: Callable[[], LoweredGraph], seed: int
) -> None:
    random = np.random.default_rng(seed)

    def shuffle(model: Any) -> None:
        graph = model.subgraphs[0]
        tensors, buffers, codes = (
            random.permutation(len(parts)).tolist() for parts in (graph.tensors, model.buffers, model.operatorCodes)
        )
        graph.tensors = [graph.tensors[old] for old in tensors]
        model.buffers = [model.buffers[old] for old in buffers]
        model.operatorCodes = [model.operatorCodes[old] for old in codes]
        for tensor in graph.tensors:
            tensor.buffer = buffers.index(tensor.buffer)
        for operator in graph.operators:
            operator.opcodeIndex = codes.index(operator.opcodeIndex)
            operator.inputs = [index if index == -1 else tensors.index(index) for index in operator.inputs]
            operator.outputs = [tensors.index(index) for index in operator.outputs]
        graph.inputs = [tensors.index(index) for index in graph.inputs]
        graph.outputs = [tensors.index(index) for index in graph.outputs]

    data = write_tflite(network())
    shuffled = edited(data, shuffle)
    assert shuffled != data
    assert write_tflite(read_tflite(shuffled)) == data


def test_equal_constants_are_stored_once_and_unused_ones_not_at_all() -> None:
    builder = TfliteGraph()
    value = builder.input((1, 64))
    weights = builder.random.normal(0, 1, (64, 64))
    for _ in range(4):
        operands = [value, builder.constant(weights, np.float32), None]
        value = builder.add("FULLY_CONNECTED", operands, (1, 64))
    builder.constant(np.ones(100_000), np.float32)
    data = write_tflite(builder.graph(value))
    assert 64 * 64 * 4 < len(data) < 64 * 64 * 4 + 1000
    assert read_tflite(data).tensors.keys() >= {"input"}


def test_constants_stand_where_runtimes_read_them_in_place_and_small_vectors_fill_the_gaps() -> None:
    contents = [bytes([number]) * 64 for number in range(1, 9)]
    shapes = [vector_of_int32([number, 64]) for number in range(8)]
    builder = InterningBuilder()
    builder.lay(contents, shapes)
    buffers = [builder.table("Buffer", Data=builder.data(content)) for content in contents]
    vectors = [builder.table("Tensor", Shape=builder.vector(shape)) for shape in shapes]
    subgraph = builder.table("SubGraph", Tensors=builder.tables(vectors))
    root = builder.table("Model", Subgraphs=builder.tables([subgraph]), Buffers=builder.tables(buffers))
    file = builder.finish(root, b"TFL3")
    starts = sorted(file.index(content) for content in contents)
    assert [start % 16 for start in starts] == [0] * 8
    assert np.diff(starts).tolist() == [64 + 16] * 7  # 4 for the length, 12 of a shape with its own
    graph = schema.ModelT.InitFromPackedBuf(file)
    assert [tensor.shape.tolist() for tensor in graph.subgraphs[0].tensors] == [shape.tolist() for shape in shapes]


def test_equal_options_are_stored_once_however_they_are_given() -> None:
    builder = TfliteGraph()
    value = builder.input((1, 4))
    spelled_out: list[dict[str, Any]] = [{}, {"fused_activation_function": "NONE", "pot_scale_int16": True}]
    for attributes in spelled_out:
        value = builder.add("ADD", [value, value], (1, 4), **attributes)
    data = write_tflite(builder.graph(value))
    assert write_tflite(read_tflite(data)) == data
    graph = schema.Model.GetRootAs(data).Subgraphs(0)
    assert len({graph.Operators(index).BuiltinOptions().Pos for index in range(2)}) == 1


def test_only_inputs_and_outputs_have_names_and_nothing_is_said_twice() -> None:
    model = objects(small_int8_network())
    graph = model.subgraphs[0]
    named = {tensor.name for tensor in graph.tensors if tensor.name is not None}
    assert named == {b"input", b"softmax"}
    assert model.metadata is None
    assert model.signatureDefs is None
    assert model.description is None
    codes = Counter((code.builtinCode, code.version) for code in model.operatorCodes)
    assert set(codes.values()) == {1}


def test_biases_keep_their_scales() -> None:
    model = objects(small_int8_network())
    graph = model.subgraphs[0]
    bias = graph.tensors[graph.operators[0].inputs[2]]
    np.testing.assert_array_equal(bias.quantization.scale, np.array([2e-4, 4e-4, 1e-4, 2e-4], np.float32))
    np.testing.assert_array_equal(bias.quantization.zeroPoint, [0, 0, 0, 0])


def test_the_frame_is_what_runtimes_check() -> None:
    data = write_tflite(small_int8_network())
    assert data[4:8] == b"TFL3"
    model = schema.Model.GetRootAs(data)
    assert model.Version() == 3
    assert model.Buffers(0).DataIsNone()
    for code in (model.OperatorCodes(index) for index in range(model.OperatorCodesLength())):
        assert code.BuiltinCode() == code.DeprecatedBuiltinCode()
    start = np.frombuffer(data, np.uint8).ctypes.data
    for buffer in (model.Buffers(index) for index in range(1, model.BuffersLength())):
        assert (buffer.DataAsNumpy().ctypes.data - start) % 16 == 0


def test_codes_past_127_leave_the_placeholder_in_the_old_field() -> None:
    builder = TfliteGraph()
    graph = builder.graph(builder.add("GELU", [builder.input((1, 8))], (1, 8), approximate=False))
    code = objects(graph).operatorCodes[0]
    assert code.builtinCode == schema.BuiltinOperator.GELU > 127
    assert code.deprecatedBuiltinCode == 127
    assert read_tflite(write_tflite(graph)).operators[0].kind == "GELU"
    run_litert(write_tflite(graph), random_inputs(graph))


def test_several_inputs_and_outputs_keep_their_names_and_order() -> None:
    builder = TfliteGraph()
    left, right = builder.input((1, 3)), builder.input((1, 3))
    total = builder.add("ADD", [right, left], (1, 3))
    product = builder.add("MUL", [left, total], (1, 3))
    data = write_tflite(builder.graph(product, total))
    graph = read_tflite(data)
    assert (graph.inputs, graph.outputs) == (["input", "input_1"], ["mul", "add"])
    interpreter = Interpreter(model_content=data)
    assert [detail["name"] for detail in interpreter.get_input_details()] == ["input", "input_1"]
    assert [detail["name"] for detail in interpreter.get_output_details()] == ["mul", "add"]


def test_the_graph_is_left_as_it_was() -> None:
    graph = small_network()
    names, attributes = list(graph.tensors), [dict(operator.attributes) for operator in graph.operators]
    write_tflite(graph)
    assert list(graph.tensors) == names
    assert [operator.attributes for operator in graph.operators] == attributes


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (Operator("FROBNICATE", ["x"], ["y"]), "no operator 'FROBNICATE'"),
        (Operator("SOFTMAX", ["x"], ["y"], {"gamma": 1.0}), "no attributes"),
        (Operator("ADD", ["x", "x"], ["y"], {"fused_activation_function": "SWISH"}), "'SWISH' is none of"),
        (Operator("CONV_2D", ["x"], ["y"]), "does not take operands"),
    ],
)
def test_what_tflite_does_not_have_is_our_error(operator: Operator, message: str) -> None:
    graph = LoweredGraph(operators=[operator], inputs=["x"], outputs=["y"])
    for name in "xy":
        graph.add_tensor(Tensor(name, (1, 2), np.dtype(np.float32)))
    with pytest.raises(ValueError, match=message):
        write_tflite(graph)


def versions(kind: str, inputs: list[Any], dtype: type[np.generic], **attributes: Any) -> int:
    """The version that an operator on ``inputs``, each (shape, dtype, quantisation), gets."""
    graph = LoweredGraph(inputs=["in0"], outputs=["out"])
    for index, (shape, element, quantisation) in enumerate(inputs):
        graph.add_tensor(Tensor(f"in{index}", shape, np.dtype(element), quantisation))
    graph.add_tensor(Tensor("out", inputs[0][0], np.dtype(dtype), inputs[0][2]))
    graph.operators.append(Operator(kind, list(graph.tensors)[:-1], ["out"], attributes))
    code = objects(graph).operatorCodes[0]
    return int(code.version)


IMAGE, KERNEL, ROW, MATRIX = (1, 8, 8, 4), (4, 3, 3, 4), (1, 8), (4, 8)
ONE = per_tensor(0.5)


@pytest.mark.parametrize(
    ("kind", "float_version", "int8_version"),
    [
        ("ADD", 1, 2),
        ("AVERAGE_POOL_2D", 1, 2),
        ("CONCATENATION", 1, 2),
        ("CONV_2D", 1, 3),
        ("DEPTHWISE_CONV_2D", 1, 3),
        ("FULLY_CONNECTED", 1, 4),
        ("LEAKY_RELU", 1, 1),
        ("LOGISTIC", 1, 2),
        ("MAX_POOL_2D", 1, 2),
        ("MEAN", 1, 2),
        ("MUL", 1, 2),
        ("PAD", 1, 2),
        ("RELU", 1, 2),
        ("RELU6", 1, 2),
        ("RESHAPE", 1, 1),
        ("SLICE", 1, 2),
        ("SOFTMAX", 1, 2),
        ("STRIDED_SLICE", 1, 2),
        ("SUB", 1, 2),
        ("TANH", 1, 2),
        ("TRANSPOSE", 1, 2),
    ],
)
def test_versions_are_the_least_that_float_and_int8_need(kind: str, float_version: int, int8_version: int) -> None:
    shapes = {"FULLY_CONNECTED": (ROW, MATRIX, (4,)), "CONV_2D": (IMAGE, KERNEL, (4,))}.get(kind, (IMAGE, IMAGE))
    for dtype, quantisation, expected in ((np.float32, None, float_version), (np.int8, ONE, int8_version)):
        inputs = [(shape, dtype, quantisation) for shape in shapes]
        assert versions(kind, inputs, dtype) == expected


def test_versions_grow_with_what_an_operator_asks_for() -> None:
    image, row = (IMAGE, np.float32, None), (ROW, np.float32, None)
    hybrid = ((4, 3, 3, 4), np.int8, ONE)
    assert versions("CONV_2D", [image, ((4, 3, 3, 2), np.float32, None)], np.float32) == 6
    assert versions("CONV_2D", [image, hybrid], np.float32) == 2
    assert versions("DEPTHWISE_CONV_2D", [image, image], np.float32, dilation_w_factor=2) == 2
    assert versions("FULLY_CONNECTED", [row, (MATRIX, np.float32, None)], np.float32) == 6
    bias = ((4,), np.float32, None)
    assert versions("FULLY_CONNECTED", [row, (MATRIX, np.float32, None), bias], np.float32, keep_num_dims=True) == 5
    assert versions("FULLY_CONNECTED", [row, (MATRIX, np.int8, ONE), bias], np.float32) == 3
    assert versions("MUL", [(ROW, np.int8, per_tensor(2.0)), (ROW, np.int8, per_tensor(2.0))], np.int8) == 3
    assert versions("DEQUANTIZE", [(ROW, np.float16, None)], np.float32) == 3
    assert versions("QUANTIZE", [(ROW, np.float32, None)], np.int8) == 1
    assert versions("TRANSPOSE", [((1, 2, 3, 4, 5), np.float32, None)], np.float32) == 4
    assert versions("PAD", [((1, 2, 3, 4, 5), np.int8, ONE)], np.int8) == 4
    size = ((2,), np.int32, None)
    assert versions("RESIZE_BILINEAR", [image, size], np.float32) == 1
    assert versions("RESIZE_BILINEAR", [image, size], np.float32, half_pixel_centers=True) == 3
    assert versions("RESIZE_BILINEAR", [image, size], np.float32, align_corners=True) == 1
    assert versions("RESIZE_NEAREST_NEIGHBOR", [image, size], np.float32, align_corners=True) == 3
    shape = ((4,), np.int32, None)
    assert versions("TRANSPOSE_CONV", [shape, image, image], np.float32) == 1
    assert versions("TRANSPOSE_CONV", [shape, image, image, bias], np.float32) == 3
    assert versions("GATHER", [row, size], np.float32, batch_dims=1) == 5
