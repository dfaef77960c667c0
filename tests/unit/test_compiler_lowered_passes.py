"""Each pass makes a graph cheaper and changes no bit of what LiteRT computes."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

from edgefleet_compiler.lowered.cancel_transposes import cancel_transposes
from edgefleet_compiler.lowered.dead_code import remove_dead_code
from edgefleet_compiler.lowered.drop_flattens import drop_flattens
from edgefleet_compiler.lowered.fold_padding import fold_padding
from edgefleet_compiler.lowered.fold_shapes import fold_shapes
from edgefleet_compiler.lowered.fuse_activations import fuse_activations
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.lowered.merge_reshapes import merge_reshapes
from edgefleet_compiler.lowered.plain_padding import use_plain_padding
from edgefleet_compiler.lowered.raise_clamps import raise_clamps
from edgefleet_compiler.tflite.writer import write_tflite
from support.exports import kinds, run_tflite
from support.tflite_graphs import TfliteGraph, per_tensor

VALID = {"padding": "VALID", "stride_h": 1, "stride_w": 1}


def run(graph: LoweredGraph):
    random = np.random.default_rng(1)
    inputs = [random.normal(0, 2, graph.tensors[name].shape).astype(np.float32) for name in graph.inputs]
    return run_tflite(write_tflite(graph), inputs, delegates=False)


def after(graph: LoweredGraph, *passes) -> LoweredGraph:
    """The graph after the passes, which were checked to change nothing that is computed."""
    before = run(deepcopy(graph))
    for one in passes:
        one(graph)
    for ours, theirs in zip(run(graph), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    return graph


def convolution(graph: TfliteGraph, source: str, outputs: int = 2) -> str:
    batch, height, width, channels = graph.shape(source)
    shape = (batch, height - 2, width - 2, outputs)
    filters, biases = graph.weights(outputs, 3, 3, channels), graph.weights(outputs)
    return graph.add("CONV_2D", [source, filters, biases], shape, **VALID)


def reshaped(graph: TfliteGraph, source: str, *shape: int) -> str:
    return graph.add("RESHAPE", [source], shape, new_shape=list(shape))


def transposed(graph: TfliteGraph, source: str, *axes: int) -> str:
    shape = tuple(graph.shape(source)[axis] for axis in axes)
    return graph.add("TRANSPOSE", [source, graph.indices(*axes)], shape)


def pad(graph: TfliteGraph, source: str, amounts, value: str | None = None) -> str:
    shape = tuple(size + sum(amount) for size, amount in zip(graph.shape(source), amounts, strict=True))
    settings = [graph.indices(*amounts), *([value] if value else [])]
    return graph.add("PADV2" if value else "PAD", [source, *settings], shape)


@pytest.mark.parametrize("clamp", ["RELU", "RELU6", "RELU_N1_TO_1"])
def test_a_clamp_is_fused_into_the_convolution_before_it(clamp):
    graph = TfliteGraph()
    convolved = convolution(graph, graph.input((1, 6, 6, 3)))
    fused = after(graph.graph(graph.add(clamp, [convolved], (1, 4, 4, 2))), fuse_activations)
    assert [operator.attributes["fused_activation_function"] for operator in fused.operators] == [clamp]


def test_a_clamp_is_not_fused_when_its_input_is_read_elsewhere_or_given_out_or_clamped_already():
    graph = TfliteGraph()
    source = graph.input((1, 6, 6, 3))
    read_twice, given_out = convolution(graph, source), convolution(graph, source)
    clamps = [graph.add("RELU", [name], (1, 4, 4, 2)) for name in (read_twice, given_out)]
    total = graph.add("ADD", [read_twice, clamps[0]], (1, 4, 4, 2), fused_activation_function="RELU6")
    clamped = graph.add("RELU_N1_TO_1", [total], (1, 4, 4, 2))
    lowered = after(graph.graph(given_out, clamps[1], clamped), fuse_activations)
    assert len(lowered.operators) == 6


def test_a_clamp_between_other_parameters_is_not_fused():
    graph = TfliteGraph()
    left = graph.input((1, 8), np.int8, per_tensor(0.05, 3))
    total = graph.add("ADD", [left, left], (1, 8), np.int8, per_tensor(0.1, 1))
    clamped = graph.add("RELU", [total], (1, 8), np.int8, per_tensor(0.05, -20))
    assert kinds(after(graph.graph(clamped), fuse_activations)) == ["ADD", "RELU"]


def test_a_quantised_clamp_between_equal_parameters_is_fused_bit_for_bit():
    graph = TfliteGraph()
    left = graph.input((1, 800), np.int8, per_tensor(0.05, 3))
    total = graph.add("ADD", [left, left], (1, 800), np.int8, per_tensor(0.1, -20))
    clamped = graph.add("RELU6", [total], (1, 800), np.int8, per_tensor(0.1, -20))
    assert kinds(after(graph.graph(clamped), fuse_activations)) == ["ADD"]


def test_a_clamp_changes_places_with_what_moves_elements_before_it():
    graph = TfliteGraph()
    convolved = convolution(graph, graph.input((1, 6, 6, 3)))
    moved = transposed(graph, reshaped(graph, convolved, 4, 4, 2), 2, 0, 1)
    lowered = after(graph.graph(graph.add("RELU", [moved], (2, 4, 4))), raise_clamps, fuse_activations)
    assert kinds(lowered) == ["CONV_2D", "RESHAPE", "TRANSPOSE"]


def test_a_clamp_stays_behind_a_reshape_that_others_read():
    graph = TfliteGraph()
    moved = reshaped(graph, graph.input((1, 8)), 2, 4)
    outputs = graph.add("RELU", [moved], (2, 4)), graph.add("RELU6", [moved], (2, 4))
    assert kinds(after(graph.graph(*outputs), raise_clamps)) == ["RESHAPE", "RELU", "RELU6"]


@pytest.mark.parametrize(
    ("extent", "amounts", "stride", "folds"),
    [
        (6, [(0, 0), (1, 1), (1, 1), (0, 0)], 1, True),
        (6, [(0, 0), (0, 1), (0, 1), (0, 0)], 2, True),
        (6, [(0, 0), (1, 1), (1, 1), (0, 0)], 2, False),
        (6, [(0, 0), (1, 1), (0, 0), (0, 0)], 1, False),
        (6, [(0, 0), (1, 1), (1, 1), (0, 1)], 1, False),
        (6, [(1, 0), (1, 1), (1, 1), (0, 0)], 1, False),
        (6, [(0, 0), (2, 2), (2, 2), (0, 0)], 1, False),
    ],
)
def test_zeros_around_an_image_become_same_padding_exactly_where_that_is_the_same(extent, amounts, stride, folds):
    graph = TfliteGraph()
    padded = pad(graph, graph.input((1, extent, extent, 2)), amounts)
    batch, height, width, channels = graph.shape(padded)
    shape = (batch, (height - 3) // stride + 1, (width - 3) // stride + 1, 4)
    operands = [padded, graph.weights(4, 3, 3, channels), graph.weights(4)]
    convolved = graph.add("CONV_2D", operands, shape, **{**VALID, "stride_h": stride, "stride_w": stride})
    lowered = after(graph.graph(convolved), fold_padding, remove_dead_code)
    assert ("PAD" not in kinds(lowered)) == folds


@pytest.mark.parametrize(("lowest", "folds"), [(np.finfo(np.float32).min, True), (-1.0, False)])
def test_the_lowest_value_around_an_image_becomes_same_padding_of_a_maximum_pool(lowest, folds):
    graph = TfliteGraph()
    padded = pad(
        graph, graph.input((1, 6, 6, 2)), [(0, 0), (1, 1), (1, 1), (0, 0)], graph.constant([lowest], np.float32)
    )
    pool = graph.add("MAX_POOL_2D", [padded], (1, 6, 6, 2), **VALID, filter_height=3, filter_width=3)
    lowered = after(graph.graph(pool), fold_padding, remove_dead_code)
    assert ("PADV2" not in kinds(lowered)) == folds


def test_zeros_around_an_average_pool_stay_because_same_does_not_count_them():
    graph = TfliteGraph()
    padded = pad(graph, graph.input((1, 6, 6, 2)), [(0, 0), (1, 1), (1, 1), (0, 0)])
    pool = graph.add("AVERAGE_POOL_2D", [padded], (1, 6, 6, 2), **VALID, filter_height=3, filter_width=3)
    assert kinds(after(graph.graph(pool), fold_padding, remove_dead_code)) == ["PAD", "AVERAGE_POOL_2D"]


def stem(graph: TfliteGraph, source: str, lowest: str, dtype=np.float32, quantisation=None) -> str:
    """A maximum pool with a stride of 2 over 6 x 6, padded on all sides, where SAME pads only behind."""
    amounts = graph.indices((0, 0), (1, 1), (1, 1), (0, 0))
    padded = graph.add("PADV2", [source, amounts, lowest], (1, 8, 8, 2), dtype, quantisation)
    window = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 3, "filter_width": 3}
    return graph.add("MAX_POOL_2D", [padded], (1, 3, 3, 2), dtype, quantisation, **window)


@pytest.mark.parametrize(("clamp", "expected"), [("RELU", "PAD"), ("RELU6", "PAD"), ("RELU_N1_TO_1", "PADV2")])
@pytest.mark.parametrize("fused", [True, False])
def test_an_image_that_is_nowhere_negative_is_padded_with_zeros_before_a_maximum_pool(clamp, expected, fused):
    graph = TfliteGraph()
    convolved = convolution(graph, graph.input((1, 8, 8, 3)))
    clamped = graph.add(clamp, [convolved], (1, 6, 6, 2))
    pool = stem(graph, clamped, graph.constant([np.finfo(np.float32).min], np.float32))
    passes = (fuse_activations, use_plain_padding) if fused else (use_plain_padding,)
    assert expected in kinds(after(graph.graph(pool), *passes))


@pytest.mark.parametrize(("zero_point", "expected"), [(-128, "PAD"), (-100, "PADV2")])
def test_integers_that_begin_at_zero_are_padded_with_zeros_before_a_maximum_pool(zero_point, expected):
    graph = TfliteGraph()
    quantisation = per_tensor(0.05, zero_point)
    source = graph.input((1, 6, 6, 2), np.int8, quantisation)
    pool = stem(graph, source, graph.constant([-128], np.int8, quantisation), np.int8, quantisation)
    assert kinds(after(graph.graph(pool), use_plain_padding)) == [expected, "MAX_POOL_2D"]


def test_two_pads_become_one():
    graph = TfliteGraph()
    once = pad(graph, graph.input((1, 4, 4, 2)), [(0, 0), (1, 0), (0, 2), (0, 0)])
    twice = pad(graph, once, [(0, 1), (0, 3), (1, 0), (0, 0)])
    assert kinds(after(graph.graph(twice), fold_padding, remove_dead_code)) == ["PAD"]


def test_two_transpositions_become_one_and_none_where_they_cancel():
    graph = TfliteGraph()
    source = graph.input((2, 3, 4))
    once = transposed(graph, source, 1, 2, 0)
    other = transposed(graph, once, 0, 2, 1)
    cancelled = graph.add("RELU", [transposed(graph, once, 2, 0, 1)], (2, 3, 4))
    lowered = after(graph.graph(other, cancelled), cancel_transposes, remove_dead_code)
    assert sorted(kinds(lowered)) == ["RELU", "TRANSPOSE"]


def test_transpositions_that_cancel_between_an_input_and_an_output_leave_a_copy():
    graph = TfliteGraph()
    back = transposed(graph, transposed(graph, graph.input((2, 3)), 1, 0), 1, 0)
    assert kinds(after(graph.graph(back), cancel_transposes, remove_dead_code)) == ["TRANSPOSE"]


def test_reshapes_in_a_row_become_one_and_none_where_they_change_nothing():
    graph = TfliteGraph()
    source = graph.add("RELU", [graph.input((2, 3, 4))], (2, 3, 4))
    flat = reshaped(graph, reshaped(graph, source, 6, 4), 24)
    same = graph.add("TANH", [reshaped(graph, flat, 2, 3, 4)], (2, 3, 4))
    lowered = after(graph.graph(flat, same), merge_reshapes, remove_dead_code)
    assert sorted(kinds(lowered)) == ["RELU", "RESHAPE", "TANH"]


def test_a_reshape_that_changes_nothing_before_an_output_leaves_the_outputs_name():
    graph = TfliteGraph()
    source = graph.add("RELU", [graph.input((2, 3))], (2, 3))
    same = reshaped(graph, reshaped(graph, source, 6), 2, 3)
    lowered = after(graph.graph(same), merge_reshapes, remove_dead_code)
    assert kinds(lowered) == ["RELU"]
    assert lowered.outputs == [same]


def test_a_reshape_of_a_constant_is_done_here():
    graph = TfliteGraph()
    constant = reshaped(graph, graph.weights(6), 2, 3)
    total = graph.add("ADD", [graph.input((2, 3)), constant], (2, 3))
    lowered = after(graph.graph(total), merge_reshapes, remove_dead_code)
    assert kinds(lowered) == ["ADD"]


@pytest.mark.parametrize(
    ("keeps_axes", "expected"), [(False, ["FULLY_CONNECTED"]), (True, ["RESHAPE", "FULLY_CONNECTED"])]
)
def test_a_flatten_before_a_fully_connected_layer_is_dropped_unless_the_layer_keeps_its_axes(keeps_axes, expected):
    graph = TfliteGraph()
    rows = reshaped(graph, graph.input((2, 2, 3, 4)), 2, 24)
    dense = graph.add("FULLY_CONNECTED", [rows, graph.weights(5, 24)], (2, 5), keep_num_dims=keeps_axes)
    assert kinds(after(graph.graph(dense), drop_flattens, remove_dead_code)) == expected


def test_what_no_output_depends_on_is_taken_out_and_inputs_stay():
    graph = TfliteGraph()
    source, unused = graph.input((2, 3)), graph.input((4,))
    graph.add("ADD", [graph.add("RELU", [source], (2, 3)), graph.weights(3)], (2, 3))
    lowered = after(graph.graph(graph.add("TANH", [source], (2, 3))), remove_dead_code)
    assert kinds(lowered) == ["TANH"]
    assert set(lowered.tensors) == {source, unused, *lowered.outputs}


def flattened(first: int, mask: int = 1) -> LoweredGraph:
    """An image as a vector of a size that the graph works out, as TensorFlow writes Flatten."""
    graph = TfliteGraph()
    image = graph.add("RELU", [graph.input((1, 2, 3, 4))], (1, 2, 3, 4))
    sizes = graph.add("SHAPE", [image], (4,), np.int32, out_type="INT32")
    ends = [graph.indices(first), graph.indices(first + 1), graph.indices(1)]
    batch = graph.add("STRIDED_SLICE", [sizes, *ends], () if mask else (1,), np.int32, shrink_axis_mask=mask)
    parts = [batch, graph.constant(24, np.int32)] if mask else [batch, graph.indices(24)]
    shape = graph.add("PACK", parts, (2,) if mask else (2, 1), np.int32, values_count=2, axis=0)
    return graph.graph(graph.add("RESHAPE", [image, shape], (1, 24)))


def test_sizes_that_follow_from_shapes_become_constants() -> None:
    graph = after(flattened(0), fold_shapes, remove_dead_code)
    assert [operator.kind for operator in graph.operators] == ["RELU", "RESHAPE"]
    shape = graph.tensors[str(graph.operators[1].inputs[1])]
    assert shape.data is not None
    assert shape.data.tolist() == [1, 24]


def test_sizes_that_are_an_output_stay() -> None:
    graph = TfliteGraph()
    image = graph.input((1, 2, 3, 4))
    sizes = graph.add("SHAPE", [image], (4,), np.int32, out_type="INT32")
    whole = after(graph.graph(graph.add("RELU", [image], (1, 2, 3, 4)), sizes), fold_shapes)
    assert [operator.kind for operator in whole.operators] == ["SHAPE", "RELU"]


def test_other_slices_of_sizes_stay() -> None:
    graph = flattened(0, mask=0)
    fold_shapes(graph)
    assert [operator.kind for operator in graph.operators] == ["RELU", "STRIDED_SLICE", "PACK", "RESHAPE"]
