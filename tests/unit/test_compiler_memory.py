"""The arena plan and the cost figures, against sums done by hand and against published ones."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from edgefleet_compiler.lowered.costs import layer_bytes, layer_costs, macs, weights_bytes
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_compiler.lowered.memory import plan_memory
from edgefleet_compiler.memory.greedy import Buffer, align, extent, place
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_compiler.tflite.writer import write_tflite
from support.tflite_graphs import SHARED_MODELS, Shape, TfliteGraph, small_network


def chain(*sizes: int) -> LoweredGraph:
    """Byte tensors of these sizes, each made from the one before."""
    graph = LoweredGraph(inputs=["t0"], outputs=[f"t{len(sizes) - 1}"])
    for index, size in enumerate(sizes):
        graph.add_tensor(Tensor(f"t{index}", (1, size), np.dtype(np.int8)))
    graph.operators = [Operator("RELU", [f"t{index - 1}"], [f"t{index}"]) for index in range(1, len(sizes))]
    return graph


def test_a_chain_needs_its_largest_two_neighbours() -> None:
    plan = plan_memory(chain(160, 320, 480, 160))
    assert plan.peak_bytes == plan.live_bytes == 800
    assert plan.lifetimes == {"t0": (0, 1), "t1": (1, 2), "t2": (2, 3), "t3": (3, 3)}


def test_the_largest_lies_lowest_and_the_dead_make_room() -> None:
    plan = plan_memory(chain(160, 320, 480, 160))
    assert plan.offsets == {"t0": 0, "t1": 480, "t2": 0, "t3": 480}


def test_sizes_are_rounded_up_to_sixteen() -> None:
    plan = plan_memory(chain(1, 17))
    assert plan.offsets == {"t0": 32, "t1": 0}
    assert plan.peak_bytes == 48


def test_a_tensor_read_late_stays() -> None:
    builder = TfliteGraph()
    first = builder.input((1, 16))
    second = builder.add("RELU", [first], (1, 16))
    third = builder.add("RELU", [second], (1, 16))
    plan = plan_memory(builder.graph(builder.add("ADD", [first, third], (1, 16))))
    assert plan.lifetimes[first] == (0, 3)
    assert plan.peak_bytes == 3 * 64


def test_outputs_stay_to_the_end_and_constants_are_not_in_the_arena() -> None:
    builder = TfliteGraph()
    early = builder.add("RELU", [builder.input((1, 16))], (1, 16))
    weights = builder.weights(16, 16)
    late = builder.add("FULLY_CONNECTED", [early, weights, None], (1, 16))
    plan = plan_memory(builder.graph(early, late))
    assert plan.lifetimes[early] == (1, 2)
    assert weights not in plan.offsets


def test_files_bring_a_plan_where_the_greedy_planner_needs_more_than_is_alive() -> None:
    graph = chain(27_648, 18_432, 18_432, 36_864)
    plan = plan_memory(graph)
    buffers = [Buffer(prod(graph.tensors[name].shape), *span) for name, span in plan.lifetimes.items()]
    assert min(extent(buffers, place(buffers)), extent(buffers[::-1], place(buffers[::-1]))) == 64_512
    assert (plan.peak_bytes, plan.live_bytes, plan.planner) == (55_296, 55_296, "offline-by-start")
    model = schema.ModelT.InitFromPackedBuf(bytearray(write_tflite(graph)), 0)
    (metadata,) = model.metadata
    assert metadata.name == b"OfflineMemoryAllocation"
    content = np.frombuffer(bytes(model.buffers[metadata.buffer].data), "<i4").tolist()
    assert content[:3] == [1, 1, len(model.subgraphs[0].tensors)]
    assert content[3:] == list(plan.offsets.values())


def test_files_bring_no_plan_that_saves_less_than_it_takes() -> None:
    assert plan_memory(chain(30, 20, 20, 40)).planner == "greedy-by-size"
    assert schema.ModelT.InitFromPackedBuf(bytearray(write_tflite(chain(48, 16, 48, 48))), 0).metadata is None


def test_a_plan_of_the_file_stays_and_the_rest_lies_around_it() -> None:
    buffers = [Buffer(64, 0, 1), Buffer(32, 1, 2), Buffer(16, 1, 1), Buffer(96, 2, 2)]
    assert place(buffers, [0, 96]) == [0, 96, 64, 0]


@pytest.mark.parametrize("sizes", [(48, 16, 48, 48), (160, 320, 480, 160), (48, 32, 32, 64)])
def test_files_number_tensors_so_that_tflite_micro_finds_the_plan(sizes: tuple[int, ...]) -> None:
    graph = chain(*sizes)
    subgraph = schema.ModelT.InitFromPackedBuf(bytearray(write_tflite(graph)), 0).subgraphs[0]
    last = len(subgraph.operators)
    spans = {subgraph.inputs[0]: [0, 0]}
    for step, operator in enumerate(subgraph.operators, start=1):
        spans[operator.inputs[0]][1] = step
        spans[operator.outputs[0]] = [step, step]
    spans[subgraph.outputs[0]][1] = last
    lengths = {number: int(np.prod(subgraph.tensors[number].shape)) for number in spans}
    buffers = [Buffer(align(lengths[number], 16), *spans[number]) for number in sorted(spans)]
    assert extent(buffers, place(buffers)) == plan_memory(graph).peak_bytes


def test_numbering_backwards_saves_where_equal_sizes_meet() -> None:
    plan = plan_memory(chain(48, 16, 48, 48))
    assert plan.backwards
    assert plan.peak_bytes == plan.live_bytes == 96
    assert not plan_memory(chain(160, 320, 480, 160)).backwards


@pytest.mark.property
@given(
    sizes=st.lists(st.integers(1, 300), min_size=2, max_size=20),
    skips=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=8),
)
def test_no_two_tensors_alive_at_once_overlap(sizes: list[int], skips: list[tuple[int, int]]) -> None:
    graph = chain(*sizes)
    for reader, read in skips:
        if reader < len(graph.operators) and read <= reader:
            graph.operators[reader].inputs.append(f"t{read}")
    plan = plan_memory(graph)
    assert set(plan.offsets) == set(graph.tensors)
    assert plan.live_bytes <= plan.peak_bytes
    places = {name: range(start, start + sizes[int(name[1:])]) for name, start in plan.offsets.items()}
    assert all(place.start % 16 == 0 and place.stop <= plan.peak_bytes for place in places.values())
    for left, (born, died) in plan.lifetimes.items():
        for right, (other_born, other_died) in plan.lifetimes.items():
            if left != right and born <= other_died and other_born <= died:
                assert places[left].stop <= places[right].start or places[right].stop <= places[left].start


def test_macs_and_bytes_are_counted_per_operator() -> None:
    graph = small_network()
    stem, depthwise, add, mean, dense, softmax = layer_costs(graph)
    assert stem.macs == 16 * 16 * 8 * 27
    assert depthwise.macs == 16 * 16 * 8 * 9
    assert dense.macs == 4 * 8
    assert add.macs == mean.macs == softmax.macs == 0
    assert stem.constant_bytes == 4 * (8 * 27 + 8)
    assert add.activation_bytes == 3 * 4 * 16 * 16 * 8
    assert macs(graph) == stem.macs + depthwise.macs + dense.macs
    assert weights_bytes(graph) == sum(layer_bytes(graph).values())


def test_a_grouped_convolution_costs_its_groups_share() -> None:
    builder = TfliteGraph()
    image = builder.input((1, 4, 4, 8))
    output = builder.add("CONV_2D", [image, builder.weights(8, 3, 3, 2)], (1, 2, 2, 8), padding="VALID")
    assert macs(builder.graph(output)) == 2 * 2 * 8 * 3 * 3 * 2


def test_a_transposed_convolution_costs_its_kernel_for_each_element_of_its_input() -> None:
    builder = TfliteGraph()
    operands = [builder.indices(1, 8, 8, 5), builder.weights(5, 2, 3, 4), builder.input((1, 4, 4, 4))]
    assert macs(builder.graph(builder.add("TRANSPOSE_CONV", operands, (1, 8, 8, 5)))) == 4 * 4 * 4 * 2 * 3 * 5


@pytest.mark.parametrize(("left", "transposed"), [((2, 3, 5), False), ((2, 5, 3), True)])
def test_a_product_of_matrices_costs_the_axis_they_share_for_each_result(left: Shape, transposed: bool) -> None:
    builder = TfliteGraph()
    operands = [builder.input(left), builder.input((2, 5, 7))]
    assert macs(builder.graph(builder.add("BATCH_MATMUL", operands, (2, 3, 7), adj_x=transposed))) == 2 * 3 * 7 * 5


def test_products_of_matrices_are_counted_whatever_the_operator() -> None:
    builder = TfliteGraph()
    left, right = builder.input((2, 3, 8)), builder.input((2, 8, 5))
    product = builder.add("BATCH_MATMUL", [left, right], (2, 3, 5))
    assert macs(builder.graph(product)) == 2 * 3 * 5 * 8
    builder = TfliteGraph()
    shape, image = builder.indices(1, 8, 8, 6), builder.input((1, 4, 4, 2))
    spread = builder.add("TRANSPOSE_CONV", [shape, builder.weights(6, 3, 3, 2), image], (1, 8, 8, 6), stride_w=2)
    assert macs(builder.graph(spread)) == 4 * 4 * 2 * 3 * 3 * 6


def test_shared_weights_count_once_and_split_nodes_add_up() -> None:
    builder = TfliteGraph()
    weights = builder.weights(8, 8)
    first = builder.add("FULLY_CONNECTED", [builder.input((1, 8)), weights, None], (1, 8))
    graph = builder.graph(builder.add("FULLY_CONNECTED", [first, weights, None], (1, 8)))
    assert layer_bytes(graph) == {"fully_connected": 256, "fully_connected_1": 0}
    for operator in graph.operators:
        operator.source = "dense"
    assert layer_bytes(graph) == {"dense": 256}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "published_macs", "constants", "live", "peak"),
    [
        ("pretrainedResnet_quant", 12_501_632, 78_752, 49_152, 49_152),
        ("kws_ref_model", 2_656_768, 24_376, 16_000, 16_000),
        ("vww_96_int8", 7_489_664, 219_072, 55_296, 55_296),
        ("ad01_int8", 264_192, 270_880, 768, 768),
    ],
)
def test_published_models_cost_what_is_known_of_them(
    name: str, published_macs: int, constants: int, live: int, peak: int
) -> None:
    graph = read_tflite((SHARED_MODELS / f"{name}.tflite").read_bytes())
    plan = plan_memory(graph)
    assert macs(graph) == published_macs
    assert weights_bytes(graph) == constants
    assert (plan.live_bytes, plan.peak_bytes) == (live, peak)
