from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.hub.graph import integers
from edgefleet_compiler.passes.fold_pad import fold_pad
from edgefleet_compiler.passes.pads_and_slices import write_out_pads_and_slices
from edgefleet_compiler.passes.windows import write_out_windows
from support.onnx_graphs import OnnxGraph
from support.passes import apply, operators


def padded(operator, padding, value=0.0, **attributes):
    """A model of a Pad and a 3 by 3 window, in the form that the pass expects."""
    graph = OnnxGraph()
    operands = [graph.constant(padding, np.int64), graph.constant(value)]
    source = graph.node("Pad", graph.input("x", 1, 2, 6, 7), *operands)
    if operator == "Conv":
        result = graph.conv(source, (2 + padding[1] + padding[5], 3), (3, 3), **attributes)
    else:
        result = graph.node(operator, source, kernel_shape=[3, 3], **attributes)
    model = graph.model(result)
    write_out_pads_and_slices(model)
    write_out_windows(model)
    return model


@pytest.mark.parametrize("own", [[0, 0, 0, 0], [1, 0, 0, 1]])
@pytest.mark.parametrize(
    ("operator", "value", "attributes"),
    [("Conv", 0.0, {}), ("MaxPool", -np.inf, {}), ("AveragePool", 0.0, {"count_include_pad": 1})],
)
def test_padding_with_what_the_window_pads_with_is_folded(operator, value, attributes, own):
    model = padded(operator, [0, 0, 1, 0, 0, 0, 0, 1], value, pads=own, **attributes)
    assert dict(apply(fold_pad, model)) == {f"folded {{}} Pad into {operator}": 1}
    assert operators(model) == [operator]
    assert list(integers(model.graph[0], "pads")) == [1 + own[0], own[1], own[2], 1 + own[3]]


def test_an_average_counts_the_zeros_that_were_padded():
    model = padded("AveragePool", [0, 0, 1, 1, 0, 0, 1, 1])
    apply(fold_pad, model)
    assert model.graph[0].attributes["count_include_pad"].value == 1


@pytest.mark.parametrize(
    ("operator", "padding", "value", "attributes"),
    [
        ("Conv", [0, 0, 1, 1, 0, 0, 1, 1], 1.0, {}),  # another value
        ("Conv", [0, 1, 0, 0, 0, 0, 0, 0], 0.0, {}),  # channels
        ("Conv", [0, 0, -1, 0, 0, 0, 0, 0], 0.0, {}),  # a crop
        ("MaxPool", [0, 0, 1, 1, 0, 0, 1, 1], 0.0, {}),  # zero wins over negatives
        ("MaxPool", [0, 0, 3, 0, 0, 0, 0, 0], -np.inf, {}),  # as large as the kernel
        ("AveragePool", [0, 0, 1, 1, 0, 0, 1, 1], 0.0, {"pads": [1, 1, 1, 1]}),  # its own padding does not count
    ],
)
def test_other_padding_stays(operator, padding, value, attributes):
    assert not fold_pad(padded(operator, padding, value, **attributes))


def test_a_padded_value_that_others_use_stays():
    graph = OnnxGraph()
    operands = [graph.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64), graph.constant(0.0)]
    source = graph.node("Pad", graph.input("x", 1, 2, 6, 7), *operands)
    model = graph.model(graph.conv(source, (2, 3), (3, 3)), graph.node("Relu", source))
    write_out_windows(model)
    assert not apply(fold_pad, model)
