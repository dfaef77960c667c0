"""What cannot be lifted is refused: all of it at once, or with the contradiction told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgefleet_compiler.importers.tflite import import_tflite
from edgefleet_compiler.lift import lift
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract.errors import ModelMalformed, OperatorUnsupported
from support.tflite_graphs import TfliteGraph, edited, run_onnx, small_network

STRIDE_1 = {"stride_h": 1, "stride_w": 1}


def test_all_operators_without_a_way_into_the_hub_are_named_with_their_nodes() -> None:
    builder = TfliteGraph()
    value = builder.input((1, 8))
    value = builder.add("RELU", [value], (1, 8))
    value = builder.add("HASHTABLE_SIZE", [value], (1, 8))
    value = builder.add("ADD", [value, value], (1, 8), fused_activation_function="SIGN_BIT")
    value = builder.add("ATAN2", [value, value], (1, 8))
    with pytest.raises(OperatorUnsupported) as caught:
        lift(builder.graph(builder.add("SOFTMAX", [value], (1, 8), beta=1.0)))
    entries = caught.value.facts["operators"]
    assert isinstance(entries, list)
    assert [(entry["operator"], entry["node"]) for entry in entries] == [
        ("HASHTABLE_SIZE", "hashtable_size"),
        ("ADD", "add"),
        ("ATAN2", "atan2"),
    ]
    assert "SIGN_BIT" in str(caught.value)
    assert caught.value.exit_status == 3


def test_an_axis_computed_at_run_time_and_plain_int8_arithmetic_are_unsupported() -> None:
    builder = TfliteGraph()
    axis = builder.input((1,), np.int32)
    mean = builder.add("MEAN", [builder.input((1, 8)), axis], (1,))
    small = builder.input((1,), np.int8)
    counted = builder.add("ADD", [small, small], (1,), np.int8)
    with pytest.raises(OperatorUnsupported) as caught:
        lift(builder.graph(mean, counted))
    assert "computed at run time" in str(caught.value)
    assert "no ADD on plain elements of type int8" in str(caught.value)


def test_masks_that_insert_axes_and_shuffled_weights_are_unsupported() -> None:
    builder = TfliteGraph()
    source = builder.input((1, 8))
    bounds = [builder.indices(0, 0), builder.indices(1, 8), builder.indices(1, 1)]
    sliced = builder.add("STRIDED_SLICE", [source, *bounds], (1, 1, 8), new_axis_mask=1)
    weights = builder.weights(4, 8)
    dense = builder.add("FULLY_CONNECTED", [source, weights, None], (1, 4), weights_format="SHUFFLED4x16INT8")
    with pytest.raises(OperatorUnsupported) as caught:
        lift(builder.graph(sliced, dense))
    assert "new_axis_mask" in str(caught.value)
    assert "SHUFFLED4x16INT8" in str(caught.value)


def malformed(builder: TfliteGraph, *outputs: str) -> str:
    with pytest.raises(ModelMalformed) as caught:
        lift(builder.graph(*outputs))
    assert caught.value.exit_status == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "shapes", "result", "options", "message"),
    [
        ("CONV_2D", [(1, 5, 5, 3), (4, 3, 3, 2)], (1, 5, 5, 4), STRIDE_1, "for 3 channels"),
        ("CONV_2D", [(1, 5, 5, 4), (3, 3, 3, 2)], (1, 5, 5, 3), STRIDE_1, "3 output channels in 2 groups"),
        ("CONV_2D", [(1, 5, 5, 3), (4, 3, 3, 3), (5,)], (1, 5, 5, 4), STRIDE_1, "bias of [5]"),
        ("CONV_2D", [(1, 5, 5, 3), (4, 3, 3, 3)], (1, 5, 5, 4), {}, "strides [0, 0]"),
        ("CONV_2D", [(1, 5, 5, 3), (4, 3, 3, 3)], (1, 4, 5, 4), STRIDE_1, "declares the shape [1, 4, 5, 4]"),
        ("CONV_2D", [(1, 5, 5, 3), (4, 7, 7, 3)], (1, 1, 1, 4), {**STRIDE_1, "padding": "VALID"}, "larger than"),
        ("CONV_2D", [(5, 3), (4, 3, 3, 3)], (1, 5, 5, 4), STRIDE_1, "an image of shape [5, 3]"),
        ("DEPTHWISE_CONV_2D", [(1, 5, 5, 4), (1, 3, 3, 6)], (1, 5, 5, 6), STRIDE_1, "for 4 channels"),
        ("FULLY_CONNECTED", [(1, 7), (4, 3)], (1, 4), {}, "for an input of [1, 7]"),
        ("FULLY_CONNECTED", [(1, 6)], (1, 4), {}, "has no input 1"),
        ("ADD", [(1, 6), (1, 4)], (1, 6), {}, "that broadcast"),
        ("ADD", [(1, 6), (1, 6)], (1, 7), {}, "declares the shape"),
        ("RESHAPE", [(1, 6)], (1, 7), {}, "as many elements"),
        ("CONCATENATION", [(1, 6), (2, 5)], (1, 11), {"axis": 1}, "that axis only"),
        ("CONCATENATION", [(1, 6), (1, 6)], (1, 12), {"axis": 2}, "axis 2 of 2"),
        ("SOFTMAX", [()], (), {}, "takes a scalar"),
    ],
)
def test_contradictions_between_operands_are_told(
    kind: str, shapes: list[tuple[int, ...]], result: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    builder = TfliteGraph()
    operands = [builder.input(shapes[0]), *(builder.weights(*shape) for shape in shapes[1:])]
    assert message in malformed(builder, builder.add(kind, operands, result, **options))


@pytest.mark.parametrize(
    ("kind", "indices", "result", "message"),
    [
        ("MEAN", [(5,)], (1,), "reduces axes [5]"),
        ("TRANSPOSE", [(0, 0)], (1, 6), "permutes 2 axes by [0, 0]"),
        ("PAD", [([0, 0], [0, -2])], (1, 4), "none negative"),
        ("PAD", [(1, 1)], (3, 8), "two amounts"),
        ("SLICE", [(0, 4), (1, 9)], (1, 9), "takes [1, 9] elements from [0, 4]"),
        ("SLICE", [(0,), (1, 2)], (1, 2), "slices"),
        ("STRIDED_SLICE", [(0, 0), (1, 6), (1, 0)], (1, 6), "a stride to each axis"),
        ("STRIDED_SLICE", [(0, 5), (1, 2), (1, 1)], (1, 1), "takes nothing"),
    ],
)
def test_indices_that_miss_their_tensor_are_told(
    kind: str, indices: list[Any], result: tuple[int, ...], message: str
) -> None:
    builder = TfliteGraph()
    operands = [builder.input((1, 6)), *(builder.indices(*values) for values in indices)]
    assert message in malformed(builder, builder.add(kind, operands, result))


def test_operands_of_another_type_are_told() -> None:
    builder = TfliteGraph()
    operands = [builder.input((1, 6)), builder.constant(np.ones((1, 6)), np.int64)]
    assert "of int64" in malformed(builder, builder.add("ADD", operands, (1, 6)))


def test_empty_tensors_and_outputs_that_nothing_computes_are_told() -> None:
    builder = TfliteGraph()
    empty = builder.input((1, 0))
    assert "holds nothing" in malformed(builder, builder.add("RELU", [empty], (1, 0)))
    builder = TfliteGraph()
    source = builder.input((1, 2))
    builder.add("RELU", [source], (1, 2))
    assert "no operator's result" in malformed(builder, source)
    builder = TfliteGraph()
    result = builder.add("RELU", [builder.input((1, 2))], (1, 2))
    assert "listed twice" in malformed(builder, result, result)


@pytest.mark.attack
@pytest.mark.parametrize("seed", range(2))
def test_damaged_files_either_lift_to_a_model_that_runs_or_are_refused(seed: int) -> None:
    file, random = write_tflite(small_network()), np.random.default_rng(seed)
    ran = 0
    for _ in range(500):
        data = bytearray(file)
        data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        try:
            model = import_tflite(bytes(data))
        except (ModelMalformed, OperatorUnsupported):
            continue
        run_onnx(model, [np.ones(value.shape.numpy(), np.float32) for value in model.graph.inputs if value.shape])
        ran += 1
    assert ran > 50


@pytest.mark.attack
def test_options_of_any_size_are_refused_before_anything_is_computed() -> None:
    def edit(model: Any) -> None:
        options = model.subgraphs[0].operators[0].builtinOptions
        options.dilationHFactor = 2**31 - 1
        options.strideW = 2**31 - 1

    with pytest.raises(ModelMalformed, match="declares the shape"):
        import_tflite(edited(write_tflite(small_network()), edit))
