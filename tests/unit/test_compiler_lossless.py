"""Lossless pruning: which channels go, which stay, and what their effect becomes."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.lossless.prune import Pruned, prune
from edgefleet_compiler.lossless.windows import taps_inside
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator
from edgefleet_compiler.lowered.optimise import optimise
from edgefleet_compiler.tflite.writer import write_tflite
from support.prunable_graphs import PrunableNet, structured_inputs
from support.quantised_tflite import int8_network, memory_network
from support.tflite_graphs import run_litert, small_network


def pruned(graph: LoweredGraph) -> Pruned:
    """The graph pruned, and run against itself."""
    found = prune(graph, write_tflite(graph))
    assert found is not None
    for case in structured_inputs(graph.tensors[graph.inputs[0]].shape, 60):
        np.testing.assert_array_equal(run_litert(found.data, [case])[0], run_litert(found.whole_data, [case])[0])
    return found


def weights_of(graph: LoweredGraph, layer: str) -> np.ndarray:
    operator = graph.producer(layer)
    assert operator is not None
    return constant(graph, operator, 1)


def constant(graph: LoweredGraph, operator: Operator, index: int) -> np.ndarray:
    data = graph.tensors[str(operator.inputs[index])].data
    assert data is not None
    return data


def spoil(graph: LoweredGraph, layer: str, outputs: list[int], bias: int) -> None:
    """Give some outputs of a layer no weights, and this bias."""
    operator = graph.producer(layer)
    assert operator is not None
    weights, biases = constant(graph, operator, 1), constant(graph, operator, 2)
    if operator.kind == "DEPTHWISE_CONV_2D":
        weights[..., outputs] = 0
    else:
        weights[outputs] = 0
    biases[outputs] = bias


def two_layers(kernel: int = 1, padding: str = "SAME") -> tuple[PrunableNet, str, str]:
    net = PrunableNet(3)
    first = net.conv(net.input(1, 5, 5, 3), 8, spoiled=False)
    return net, first, net.conv(first, 4, kernel=kernel, padding=padding, relu=False, spoiled=False)


def test_what_nobody_multiplies_goes() -> None:
    net, first, last = two_layers()
    graph = net.graph(last)
    weights_of(graph, last)[..., [1, 5]] = 0
    found = pruned(graph)
    np.testing.assert_array_equal(found.removal.kept[first], ~np.isin(np.arange(8), [1, 5]))
    assert weights_of(found.graph, last).shape == (4, 1, 1, 6)
    assert found.removal.values == {}


@pytest.mark.parametrize(("bias", "value"), [(-(1 << 20), -128), (1 << 20, 127), (20000, 28)])
def test_a_constant_channel_goes_into_the_biases_of_its_readers(bias: int, value: int) -> None:
    net, first, last = two_layers()
    graph = net.graph(last)
    spoil(graph, first, [2], bias)
    before = constant(graph, graph.operators[1], 2).copy()
    found = pruned(graph)
    assert found.removal.values == {first: {2: value}}
    added = weights_of(graph, last)[:, 0, 0, 2].astype(int) * (value + 128)
    np.testing.assert_array_equal(constant(found.graph, found.graph.operators[1], 2), before + added)


def test_a_constant_channel_under_a_border_stays_unless_it_is_the_padding() -> None:
    net, first, last = two_layers(kernel=3)
    graph = net.graph(last)
    spoil(graph, first, [2], 20000)
    assert pruned(graph).removal.kept == {}
    spoil(graph, first, [2], -20000)
    assert list(pruned(graph).removal.values[first]) == [2]


def test_a_constant_channel_goes_where_windows_never_leave_the_image() -> None:
    net, first, last = two_layers(kernel=3, padding="VALID")
    graph = net.graph(last)
    spoil(graph, first, [2], 20000)
    assert list(pruned(graph).removal.values[first]) == [2]


def test_a_bias_that_would_overflow_is_left_alone() -> None:
    net, first, last = two_layers()
    graph = net.graph(last)
    spoil(graph, first, [2], 20000)
    weights_of(graph, last)[0, 0, 0, 2] = 40
    constant(graph, graph.operators[1], 2)[0] = np.iinfo(np.int32).max - 5
    assert prune(graph, write_tflite(graph)).removal.kept == {}


def test_what_a_removed_output_read_goes_too() -> None:
    net, first, second = two_layers()
    last = net.conv(second, 3, kernel=1, relu=False, spoiled=False)
    graph = net.graph(last)
    weights_of(graph, last)[..., 1:] = 0
    weights_of(graph, second)[0, ..., 4:] = 0
    found = pruned(graph)
    assert (found.removal.kept[second].sum(), found.removal.kept[first].sum()) == (1, 4)


def residual(side: int) -> tuple[LoweredGraph, str, str, str]:
    """Two convolutions, the sum of what they give, and one that reads the sum."""
    net = PrunableNet(4)
    one = net.conv(net.input(1, side, side, 3), 8, spoiled=False)
    other = net.conv(one, 8, relu=False, spoiled=False)
    joined = net.add(one, other)
    return net.graph(net.conv(joined, 4, kernel=1, relu=False, spoiled=False)), one, other, joined


def test_a_residual_binds_its_operands() -> None:
    graph, one, other, joined = residual(4)
    weights_of(graph, graph.outputs[0])[..., [0, 3]] = 0
    assert pruned(graph).removal.kept == {}, "the second convolution still reads what the first gives"
    weights_of(graph, other)[..., 3] = 0
    found = pruned(graph)
    assert {name: np.flatnonzero(~kept).tolist() for name, kept in found.removal.kept.items()} == {
        one: [3], other: [3], joined: [3],
    }  # fmt: skip


def test_a_sum_of_constants_is_one() -> None:
    graph, one, other, joined = residual(4)
    spoil(graph, one, [5], -(1 << 20))
    spoil(graph, other, [5], 3 << 11)
    found = pruned(graph)
    assert list(found.removal.values[joined]) == [5]
    assert {name for name, kept in found.removal.kept.items() if not kept[5]} == {one, other, joined}


def test_a_sum_keeps_channels_where_its_kernel_would_end_with_single_elements() -> None:
    graph, _, other, _ = residual(5)
    weights_of(graph, graph.outputs[0])[..., 3] = 0
    weights_of(graph, other)[..., 3] = 0
    assert pruned(graph).removal.kept == {}


def test_channels_are_followed_through_padding_pools_joining_and_flattening() -> None:
    net = PrunableNet(5)
    first = net.conv(net.input(1, 6, 6, 3), 8, spoiled=False)
    other = net.conv(net.pool("AVERAGE_POOL_2D", net.pad(first)), 8, relu=True, spoiled=False)
    both = net.joined([other, net.moved("MAX_POOL_2D", other, (1, 4, 4, 8), padding="SAME", filter_height=2,
                                        filter_width=2, stride_h=1, stride_w=1)])  # fmt: skip
    graph = net.graph(net.dense(net.flat(both), 4))
    spoil(graph, other, [6], -(1 << 20))
    spoil(graph, first, [1, 2], -(1 << 20))
    found = pruned(graph)
    assert np.flatnonzero(~found.removal.kept[both]).tolist() == [6, 14]
    assert np.flatnonzero(~found.removal.kept[first]).tolist() == [1, 2]
    assert weights_of(found.graph, graph.outputs[0]).shape[1] == 4 * 4 * 14


def test_a_layer_keeps_one_channel_though_all_are_constant() -> None:
    net, first, last = two_layers()
    graph = net.graph(last)
    spoil(graph, first, list(range(8)), 20000)
    assert pruned(graph).removal.kept[first].sum() == 1


def depthwise(channels: int, dead: list[int], *, relu: bool) -> tuple[LoweredGraph, str]:
    net = PrunableNet(6)
    first = net.conv(net.input(1, 5, 5, 3), channels, spoiled=False)
    middle = net.depthwise(first, relu=relu, spoiled=False)
    graph = net.graph(net.conv(middle, 4, kernel=1, relu=False, spoiled=False))
    weights_of(graph, graph.outputs[0])[..., dead] = 0
    return graph, middle


def test_a_depthwise_convolution_loses_channels_with_what_it_reads() -> None:
    graph, middle = depthwise(16, [0, 5, 9], relu=True)
    found = pruned(graph)
    assert weights_of(found.graph, middle).shape == (1, 3, 3, 13)
    assert found.graph.tensors[str(graph.operators[1].inputs[0])].shape[-1] == 13


@pytest.mark.parametrize(("channels", "dead", "left"), [(16, 3, 16), (24, 9, 16), (13, 3, 13), (24, 16, 8)])
def test_without_a_clamp_channels_keep_the_loop_of_the_kernel_that_computes_them(
    channels: int, dead: int, left: int
) -> None:
    graph, middle = depthwise(channels, list(range(dead)), relu=False)
    assert weights_of(pruned(graph).graph, middle).shape[-1] == left


def test_a_layer_without_a_bias_gets_one_where_a_constant_goes_into_it() -> None:
    net = PrunableNet(7)
    first = net.dense(net.flat(net.input(1, 2, 2, 3)), 6, relu=True)
    last = net.dense(first, 4, bias=False)
    graph = net.graph(last)
    spoil(graph, first, [1], 62 * 64)
    weights_of(graph, last)[:, 1] = 7
    found = pruned(graph)
    assert constant(found.graph, found.graph.operators[-1], 2).tolist() == [7 * 62] * 4


def test_the_graph_that_was_given_stays_as_it_is() -> None:
    graph, _ = depthwise(16, [0, 5, 9], relu=True)
    before = write_tflite(graph)
    prune(graph, before)
    assert write_tflite(graph) == before


def test_where_nothing_can_go_the_very_graph_and_file_come_back() -> None:
    graph = int8_network()
    found = prune(graph, data := write_tflite(graph))
    assert found is not None
    assert (found.graph, found.data, found.removal.kept) == (graph, data, {})


def test_graphs_of_floats_are_not_looked_at() -> None:
    graph = small_network()
    assert prune(graph, write_tflite(graph)) is None


def test_states_are_read_as_a_whole() -> None:
    graph = memory_network()
    found = prune(graph, write_tflite(graph))
    assert found is not None
    assert found.removal.kept == {}


def test_taps_are_inside_or_outside_as_tensorflow_pads() -> None:
    same = taps_inside(extent=5, outputs=3, kernel=3, stride=2, dilation=1, padding="SAME")
    assert same is not None
    assert same.tolist() == [[False, True, True], [True, True, False], [True, True, True]]
    valid = taps_inside(extent=5, outputs=2, kernel=3, stride=2, dilation=1, padding="VALID")
    assert valid is not None
    assert valid.all()
    assert taps_inside(extent=5, outputs=4, kernel=3, stride=2, dilation=1, padding="SAME") is None


def test_a_size_that_the_graph_works_out_is_no_reason_to_keep_a_channel() -> None:
    net = PrunableNet(3)
    first = net.conv(net.input(1, 5, 5, 3), 8, spoiled=False)
    sizes = net.builder.add("SHAPE", [first], (4,), np.int32, out_type="INT32")
    ends = [net.builder.indices(0), net.builder.indices(1), net.builder.indices(1)]
    batch = net.builder.add("STRIDED_SLICE", [sizes, *ends], (), np.int32, shrink_axis_mask=1)
    parts = [batch, net.builder.constant(200, np.int32)]
    shape = net.builder.add("PACK", parts, (2,), np.int32, values_count=2, axis=0)
    graph = net.graph(net.dense(net.moved("RESHAPE", first, (1, 200), shape), 4))
    spoil(graph, first, [3], -(1 << 20))
    assert pruned(graph).removal.kept == {}
    optimise(graph)
    assert pruned(graph).removal.kept[first].sum() == 7
