from __future__ import annotations

import numpy as np
import pytest

from support.exports import assert_compiles, kinds
from support.onnx_graphs import OnnxGraph


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("indices", [2, [0, -1], [[0, 1], [-2, 2]]])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
def test_slices_are_gathered_by_constant_indices(axis, indices, dtype):
    graph = OnnxGraph()
    source = graph.input("x", 3, 4, 5, dtype=dtype)
    assert (
        kinds(assert_compiles(graph.model(graph.node("Gather", source, graph.constant(indices, int), axis=axis))))[-1]
        == "GATHER"
    )


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_an_embedding_looks_up_indices_that_come_with_the_data_also_from_the_end(dtype):
    graph = OnnxGraph()
    table = graph.weights(7, 5)
    assert_compiles(graph.model(graph.node("Gather", table, graph.input("x", 2, 6, dtype=dtype))))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("constant", [True, False])
def test_elements_are_gathered_each_at_its_own_place(axis, constant):
    graph = OnnxGraph()
    indices = graph.random.integers(-3, 3, (3, 2, 3))
    operand = graph.constant(indices, int) if constant else graph.input("i", 3, 2, 3, dtype=np.int64)
    assert_compiles(graph.model(graph.node("GatherElements", graph.input("x", 4, 4, 4), operand, axis=axis)))


@pytest.mark.parametrize("indices", [[[0, -1], [2, 3]], [[[1]], [[-3]]], [[0, 1, -1]]])
def test_elements_and_slices_are_gathered_by_coordinates(indices):
    graph = OnnxGraph()
    assert_compiles(graph.model(graph.node("GatherND", graph.input("x", 3, 4, 5), graph.constant(indices, int))))


@pytest.mark.parametrize(("axis", "parts"), [(1, [2, 2, 2]), (0, [1, 3]), (-1, [4, 1]), (2, [1, 1, 3])])
def test_a_split_into_equal_and_other_parts(axis, parts):
    graph = OnnxGraph()
    sizes = graph.constant(parts, int)
    first = graph.node("Split", graph.input("x", 4, 6, 5), sizes, outputs=len(parts), axis=axis)
    outputs = [first, *(f"{first}_{index}" for index in range(1, len(parts)))]
    kind = "SPLIT" if len(set(parts)) == 1 else "SPLIT_V"
    assert kinds(assert_compiles(graph.model(*outputs))) == [kind]


def test_a_split_of_channels_between_convolutions_needs_no_transposition():
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 8, 8), (3, 6), (3, 3))
    first = graph.node("Split", image, outputs=2, axis=1, num_outputs=2)
    joined = graph.node("Mul", first, graph.node("Sigmoid", f"{first}_1"))
    assert kinds(assert_compiles(graph.model(graph.conv(joined, (3, 2), (1, 1))))).count("TRANSPOSE") == 2


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
def test_tiles_and_expansions_repeat_elements(dtype):
    graph = OnnxGraph()
    tiled = graph.node("Tile", graph.input("x", 1, 3, 1, 2, dtype=dtype), graph.constant([2, 1, 3, 1], int))
    expanded = graph.node("Expand", graph.input("y", 3, 1, dtype=dtype), graph.constant([2, 1, 4], int))
    assert_compiles(graph.model(tiled, expanded))


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("last", [0, 1])
def test_the_first_or_last_of_equal_extremes_is_found(operator, axis, keepdims, last):
    graph = OnnxGraph()
    source = graph.node("Round", graph.input("x", 3, 6, 7))
    attributes = {"axis": axis, "keepdims": keepdims, "select_last_index": last}
    assert_compiles(graph.model(graph.node(operator, source, **attributes)))


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("axis", [0, -1])
def test_a_running_sum_goes_in_either_direction(axis, exclusive, reverse):
    graph = OnnxGraph()
    axes = graph.constant(axis, int)
    assert_compiles(
        graph.model(graph.node("CumSum", graph.input("x", 3, 4, 5), axes, exclusive=exclusive, reverse=reverse))
    )


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_one_hot_takes_indices_from_the_end_and_leaves_out_what_is_outside(axis, dtype):
    graph = OnnxGraph()
    indices = graph.node("Mul", graph.input("x", 3, 5, dtype=dtype), graph.constant(2, dtype))
    whole = graph.node("Round", indices) if dtype is np.float32 else indices
    settings = [graph.constant(4, dtype), graph.constant([-1.0, 2.0])]
    assert_compiles(graph.model(graph.node("OneHot", whole, *settings, axis=axis)))


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("axis", [-1, 1])
def test_the_largest_and_smallest_are_sorted_with_their_places(axis, largest):
    graph = OnnxGraph()
    source = graph.node("Round", graph.input("x", 2, 6, 7))
    top = graph.node("TopK", source, graph.constant([4], int), outputs=2, axis=axis, largest=largest)
    assert_compiles(graph.model(top, f"{top}_1"))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_becomes_space_in_both_modes_and_back(mode):
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 4, 6), (3, 8), (1, 1))
    spread = graph.node("DepthToSpace", image, blocksize=2, mode=mode)
    lowered = assert_compiles(graph.model(graph.node("SpaceToDepth", graph.node("Sin", spread), blocksize=2)))
    assert {"DEPTH_TO_SPACE", "SPACE_TO_DEPTH"} <= set(kinds(lowered))
    assert kinds(lowered).count("TRANSPOSE") == 2


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("offset", [-1, 0, 2])
def test_a_triangle_of_each_matrix_is_kept(upper, offset):
    graph = OnnxGraph()
    assert_compiles(
        graph.model(graph.node("Trilu", graph.input("x", 2, 4, 5), graph.constant(offset, int), upper=upper))
    )


@pytest.mark.parametrize("operator", ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"])
@pytest.mark.parametrize("axes", [[-1], [0, 2], []])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_reductions_take_integers_and_no_axes(operator, axes, dtype):
    graph = OnnxGraph()
    model = graph.model(graph.node(operator, graph.input("x", 3, 4, 2, dtype=dtype), graph.constant(axes, int)))
    assert_compiles(model)


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceMin"])
def test_the_extremes_of_truths_are_any_and_all(operator):
    graph = OnnxGraph()
    axes = graph.constant([1], int)
    assert_compiles(graph.model(graph.node(operator, graph.input("x", 5, 3, dtype=np.bool_), axes)))


def test_shapes_are_constants_wherever_they_are_used():
    graph = OnnxGraph()
    source = graph.input("x", 2, 3, 4)
    assert_compiles(graph.model(graph.node("Shape", source), graph.node("Size", source)))
