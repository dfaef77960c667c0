"""What the TFLite reader makes of honest, odd and broken files."""

from __future__ import annotations

import tracemalloc
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract.errors import ModelMalformed, OperatorUnsupported
from support.tflite_graphs import TfliteGraph, edited, per_tensor, run_litert, small_int8_network, small_network

FLOAT_FILE = write_tflite(small_network())
INT8_FILE = write_tflite(small_int8_network())
BLOCKWISE = schema.BlockwiseQuantizationT()


def same(left: LoweredGraph, right: LoweredGraph) -> bool:
    """Whether two graphs compute the same, whatever their internal tensors are called."""
    return write_tflite(left) == write_tflite(right)


def test_a_graph_comes_back_with_operators_attributes_shapes_and_constants() -> None:
    written = small_network()
    graph = read_tflite(FLOAT_FILE)
    assert [operator.kind for operator in graph.operators] == [operator.kind for operator in written.operators]
    stem = graph.operators[0]
    assert stem.attributes["padding"] == "SAME"
    assert stem.attributes["fused_activation_function"] == "RELU"
    assert stem.attributes["dilation_w_factor"] == 1
    weights = graph.tensors[stem.inputs[1] or ""]
    assert weights.shape == (8, 3, 3, 3)
    np.testing.assert_array_equal(weights.data, written.tensors[written.operators[0].inputs[1] or ""].data)


def test_inputs_and_outputs_keep_their_names_and_operators_are_named_after_their_outputs() -> None:
    graph = read_tflite(FLOAT_FILE)
    assert graph.inputs == ["input"]
    assert graph.outputs == ["softmax"]
    assert all(operator.source == operator.outputs[0] for operator in graph.operators)


def test_per_channel_parameters_come_back() -> None:
    graph = read_tflite(INT8_FILE)
    quantisation = graph.tensors[graph.operators[0].inputs[1] or ""].quantisation
    assert quantisation is not None
    assert quantisation.per_channel
    assert quantisation.axis == 0
    np.testing.assert_array_equal(quantisation.scale, np.array([0.01, 0.02, 0.005, 0.01], np.float32))


def test_constants_are_views_of_the_file_not_copies() -> None:
    graph = read_tflite(FLOAT_FILE)
    weights = graph.tensors[graph.operators[0].inputs[1] or ""].data
    assert weights is not None
    assert not weights.flags.owndata
    assert not weights.flags.writeable


def test_operator_codes_of_before_2021_stand_in_the_deprecated_field_only() -> None:
    def edit(model: Any) -> None:
        for code in model.operatorCodes:
            code.builtinCode = 0

    assert same(read_tflite(edited(FLOAT_FILE, edit)), read_tflite(FLOAT_FILE))


def test_weights_behind_the_flatbuffer_are_found() -> None:
    model = schema.ModelT.InitFromPackedBuf(FLOAT_FILE)
    moved = max(model.buffers, key=lambda buffer: 0 if buffer.data is None else len(buffer.data))
    weights = bytes(moved.data)
    moved.data, moved.offset, moved.size = None, 2**40, len(weights)

    def packed() -> bytes:
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    moved.offset = len(packed())
    file = packed() + weights
    assert same(read_tflite(file), read_tflite(FLOAT_FILE))
    with pytest.raises(ModelMalformed, match="truncated"):
        read_tflite(file[:-1])


def test_a_bias_with_the_weights_quantised_axis_is_repaired() -> None:
    def edit(model: Any) -> None:
        bias = model.subgraphs[0].tensors[model.subgraphs[0].operators[0].inputs[2]]
        bias.quantization.quantizedDimension = 3

    assert same(read_tflite(edited(INT8_FILE, edit)), read_tflite(INT8_FILE))


def test_nameless_and_equally_named_tensors_get_unique_names() -> None:
    def edit(model: Any) -> None:
        graph = model.subgraphs[0]
        for index, tensor in enumerate(graph.tensors):
            if index not in (*graph.inputs, *graph.outputs):
                tensor.name = b"softmax" if index % 2 else None

    graph = read_tflite(edited(FLOAT_FILE, edit))
    assert graph.outputs == ["softmax"]
    assert "softmax_1" in graph.tensors
    assert "tensor_2" in graph.tensors
    assert len(graph.tensors) == len(read_tflite(FLOAT_FILE).tensors)
    assert list(graph.tensors) == list(read_tflite(edited(FLOAT_FILE, edit)).tensors)


def test_a_nameless_input_gets_a_name() -> None:
    def edit(model: Any) -> None:
        model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].name = None

    assert read_tflite(edited(FLOAT_FILE, edit)).inputs == ["tensor_0"]


def test_a_dynamic_batch_becomes_one() -> None:
    def edit(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            if not tensor.buffer:
                tensor.shape = [-1, *tensor.shape[1:]]

    assert same(read_tflite(edited(FLOAT_FILE, edit)), read_tflite(FLOAT_FILE))


def test_an_input_open_beyond_the_batch_is_refused_rather_than_compiled_for_one_pixel() -> None:
    def edit(model: Any) -> None:
        source = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
        source.shape, source.shapeSignature = [1, 1, 1, 3], [-1, -1, -1, 3]

    with pytest.raises(OperatorUnsupported, match=r"'input' \(INPUT\).*-1, -1, -1, 3.*fixed input shape"):
        read_tflite(edited(FLOAT_FILE, edit))


def test_float16_constants_stay_float16() -> None:
    builder = TfliteGraph()
    source = builder.input((1, 4))
    stored = builder.constant(builder.random.normal(0, 1, (3, 4)), np.float16)
    weights = builder.add("DEQUANTIZE", [stored], (3, 4))
    file = write_tflite(builder.graph(builder.add("FULLY_CONNECTED", [source, weights, None], (1, 3))))
    graph = read_tflite(file)
    assert graph.tensors[graph.operators[0].inputs[0] or ""].dtype == np.float16
    assert graph.operators[1].inputs[2] is None
    assert run_litert(file, [np.ones((1, 4), np.float32)])[0].shape == (1, 3)


def test_hybrid_weights_keep_their_quantisation_and_stray_parameters_of_float_tensors_go() -> None:
    def edit(model: Any) -> None:
        stray = schema.QuantizationParametersT(scale=[0.5], zeroPoint=[0])
        model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].quantization = stray

    builder = TfliteGraph()
    source = builder.input((1, 4))
    stored = builder.constant(np.ones((3, 4)), np.int8, per_tensor(0.25))
    file = write_tflite(builder.graph(builder.add("FULLY_CONNECTED", [source, stored, None], (1, 3))))
    graph = read_tflite(edited(file, edit))
    weights = graph.tensors[graph.operators[0].inputs[1] or ""]
    assert weights.quantisation is not None
    np.testing.assert_array_equal(weights.quantisation.scale, [0.25])
    assert graph.tensors["input"].quantisation is None


def test_tensors_that_nothing_uses_are_left_behind() -> None:
    def edit(model: Any) -> None:
        model.subgraphs[0].tensors.append(schema.TensorT(shape=[7], name=b"stray"))

    assert "stray" not in read_tflite(edited(FLOAT_FILE, edit)).tensors


def test_an_empty_axes_constant_is_a_constant() -> None:
    builder = TfliteGraph()
    source = builder.input((1, 1))
    graph = read_tflite(write_tflite(builder.graph(builder.add("RESHAPE", [source, builder.indices()], ()))))
    assert graph.tensors[graph.operators[0].inputs[1] or ""].is_constant


def test_everything_unsupported_is_named_in_one_error() -> None:
    def edit(model: Any) -> None:
        graph = model.subgraphs[0]
        model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
        model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        model.operatorCodes[0].customCode = b"MyFilter"
        model.operatorCodes[1].builtinCode = 999
        model.operatorCodes[2].builtinCode = schema.BuiltinOperator.WHILE
        graph.tensors[graph.operators[3].outputs[0]].isVariable = True
        graph.tensors[graph.operators[5].inputs[0]].type = schema.TensorType.STRING
        model.subgraphs.append(schema.SubGraphT(name=b"body"))

    with pytest.raises(OperatorUnsupported) as caught:
        read_tflite(edited(FLOAT_FILE, edit))
    entries = caught.value.facts["operators"]
    assert isinstance(entries, list)
    kinds = [entry["operator"] for entry in entries]
    assert kinds[:4] == ["SUBGRAPH", "CUSTOM MyFilter", "BUILTIN 999", "WHILE"]
    assert {"MEAN", "FULLY_CONNECTED", "SOFTMAX"} <= set(kinds)
    for text in ("body", "MyFilter", "999", "control flow", "state", "STRING"):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [
        ("sparsity", schema.SparsityParametersT(), "sparse"),
        ("externalBuffer", 3, "another file"),
        (
            "quantization",
            schema.QuantizationParametersT(detailsType=2, details=schema.BlockwiseQuantizationT()),
            "block",
        ),
    ],
)
def test_weights_that_the_graph_cannot_hold_are_refused(attribute: str, value: object, reason: str) -> None:
    def edit(model: Any) -> None:
        graph = model.subgraphs[0]
        setattr(graph.tensors[graph.operators[0].inputs[1]], attribute, value)

    with pytest.raises(OperatorUnsupported, match=reason):
        read_tflite(edited(FLOAT_FILE, edit))


@pytest.mark.parametrize("data", [b"", b"TFL3", b"PK\x03\x04 a zip archive, not a model", b"\x08\x07" * 400])
def test_a_file_that_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(ModelMalformed, match="no TFLite model"):
        read_tflite(data)


def contradiction(edit: Any) -> str:
    with pytest.raises(ModelMalformed) as caught:
        read_tflite(edited(INT8_FILE, edit))
    return str(caught.value)


def test_contradictions_are_told_with_their_values() -> None:
    def graph(model: Any) -> Any:
        return model.subgraphs[0]

    def first(model: Any) -> Any:
        return graph(model).operators[0]

    def weights(model: Any) -> Any:
        return graph(model).tensors[first(model).inputs[1]]

    cases = {
        "schema version 2": lambda model: setattr(model, "version", 2),
        "1 inputs and 0 outputs": lambda model: setattr(graph(model), "outputs", None),
        "has no subgraph": lambda model: setattr(model, "subgraphs", None),
        "code number 77": lambda model: setattr(first(model), "opcodeIndex", 77),
        "uses tensor 99": lambda model: setattr(first(model), "inputs", [99, 1, 2]),
        "uses tensor -2": lambda model: setattr(first(model), "inputs", [-2, 1, 2]),
        "has no output": lambda model: setattr(first(model), "outputs", None),
        "72 bytes of data": lambda model: setattr(weights(model), "shape", [4, 3, 3, 3]),
        "buffer 55": lambda model: setattr(weights(model), "buffer", 55),
        "read before": lambda model: setattr(weights(model), "buffer", 0),
        "written twice": lambda model: setattr(graph(model).operators[1], "outputs", first(model).outputs),
        "constant and written": lambda model: setattr(first(model), "outputs", [first(model).inputs[1]]),
        "5 scales": lambda model: setattr(weights(model).quantization, "scale", [0.1] * 5),
        "the least 0.0": lambda model: setattr(weights(model).quantization, "scale", [0.0] * 4),
        "the least nan": lambda model: setattr(weights(model).quantization, "scale", [float("nan")] * 4),
        "scales along axis 1": lambda model: setattr(weights(model).quantization, "quantizedDimension", 1),
        "shape [1, -7, 8, 2]": lambda model: setattr(
            graph(model).tensors[graph(model).inputs[0]], "shape", [1, -7, 8, 2]
        ),
        "padding 9": lambda model: setattr(first(model).builtinOptions, "padding", 9),
        "options of type 9": lambda model: (
            setattr(first(model), "builtinOptions", schema.SoftmaxOptionsT()),
            setattr(first(model), "builtinOptionsType", schema.BuiltinOptions.SoftmaxOptions),
        ),
    }
    for text, edit in cases.items():
        assert text in contradiction(edit)


@pytest.mark.attack
def test_a_tiny_file_that_asks_for_gigabytes_is_refused() -> None:
    def edit(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].shape = [1, 30000, 30000, 3]

    with pytest.raises(ModelMalformed, match="take more than 2048 MiB"):
        read_tflite(edited(FLOAT_FILE, edit))


@pytest.mark.attack
def test_a_file_that_names_one_vector_a_million_times_is_refused_in_little_memory() -> None:
    builder = flatbuffers.Builder(1024)
    builder.StartVector(4, 100_000, 4)
    for _ in range(100_000):
        builder.PrependInt32(0)
    operands = builder.EndVector()
    schema.OperatorStart(builder)
    schema.OperatorAddInputs(builder, operands)
    schema.OperatorAddOutputs(builder, operands)
    operator = schema.OperatorEnd(builder)
    schema.OperatorCodeStart(builder)
    code = schema.OperatorCodeEnd(builder)

    def vector(*offsets: int) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in offsets:
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())

    operators, codes = vector(*[operator] * 50_000), vector(code)
    schema.SubGraphStart(builder)
    schema.SubGraphAddOperators(builder, operators)
    schema.SubGraphAddInputs(builder, operands)
    schema.SubGraphAddOutputs(builder, operands)
    subgraphs = vector(schema.SubGraphEnd(builder))
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, subgraphs)
    schema.ModelAddOperatorCodes(builder, codes)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    data = bytes(builder.Output())
    tracemalloc.start()
    try:
        with pytest.raises(ModelMalformed, match="over and over"):
            read_tflite(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * len(data)


@pytest.mark.attack
def test_a_file_cut_anywhere_is_refused_or_reads_as_it_was() -> None:
    whole = read_tflite(INT8_FILE)
    survivors = 0
    refusals = []
    for end in range(0, len(INT8_FILE), 3):
        try:
            assert same(read_tflite(INT8_FILE[:end]), whole)
            survivors += 1
        except ModelMalformed as refusal:
            refusals.append(str(refusal))
    assert survivors <= 16 / 3 + 1  # nothing but the alignment padding at the end may be missing
    assert not [refusal for refusal in refusals if "unpack" in refusal or "requires a buffer" in refusal]


@pytest.mark.attack
@pytest.mark.parametrize("seed", range(3))
def test_flipped_bits_give_a_graph_or_one_of_two_errors(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(1500):
        data = bytearray(FLOAT_FILE if seed % 2 else INT8_FILE)
        for position in random.integers(0, len(data), random.integers(1, 5)):
            data[position] ^= 1 << int(random.integers(8))
        try:
            read_tflite(bytes(data))
        except (ModelMalformed, OperatorUnsupported):
            continue
