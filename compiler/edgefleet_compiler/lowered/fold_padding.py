"""A PAD before a convolution or a pool is made its SAME padding where that pads alike; two PADs become one."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.lowered.editing import keeps_parameters, writers
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_compiler.lowered.padding import is_same, reach

_LOWEST: Final = {np.dtype(np.int8): -128.0, np.dtype(np.int16): -32768.0}
PADS = frozenset({"PAD", "PADV2"})
CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})


def fold_padding(graph: LoweredGraph) -> None:
    """Fold zeros before convolutions and the lowest value before maximum pools; a PAD that nobody reads is dead code.

    An int8 tensor is padded with its zero point by PAD and by SAME alike. SAME never counts as a candidate for a
    maximum, so it is padding with the lowest value.
    """
    written_by = writers(graph)
    for operator in graph.operators:
        pad = written_by.get(str(operator.inputs[0]))
        if pad is None or pad.kind not in PADS or not _is_plain(graph, pad):
            continue
        if operator.kind == "PAD" and pad.kind == "PAD" and _is_plain(graph, operator):
            _join(graph, pad, operator)
        elif _pads_neutrally(graph, pad, operator) and _is_same(graph, pad, operator):
            operator.inputs[0] = pad.inputs[0]
            operator.attributes["padding"] = "SAME"


def _join(graph: LoweredGraph, first: Operator, second: Operator) -> None:
    """Let ``second`` pad as much as both."""
    amounts = _amounts(graph, first) + _amounts(graph, second)
    name = graph.fresh_name("paddings")
    graph.add_tensor(Tensor(name, amounts.shape, amounts.dtype, data=amounts))
    second.inputs = [first.inputs[0], name]


def _is_plain(graph: LoweredGraph, pad: Operator) -> bool:
    """Whether the amounts are known, and what is padded stays what it is."""
    return graph.tensors[str(pad.inputs[1])].is_constant and keeps_parameters(graph, pad)


def _pads_neutrally(graph: LoweredGraph, pad: Operator, operator: Operator) -> bool:
    if operator.attributes.get("padding") != "VALID":
        return False
    if pad.kind == "PAD":
        return operator.kind in CONVOLUTIONS
    return pad.kind == "PADV2" and operator.kind == "MAX_POOL_2D" and value_is_lowest(graph, pad)


def value_is_lowest(graph: LoweredGraph, pad: Operator) -> bool:
    """Whether a PADV2 pads with the lowest value of its type, which no maximum takes."""
    value = graph.tensors[str(pad.inputs[2])].data
    if value is None:
        return False
    return bool(value.item() <= _LOWEST.get(value.dtype, float(np.finfo(np.float32).min)))


def _is_same(graph: LoweredGraph, pad: Operator, operator: Operator) -> bool:
    """Whether SAME over the unpadded image pads by the same amounts."""
    amounts = _amounts(graph, pad)
    if amounts[0].any() or amounts[3].any():
        return False
    image = graph.tensors[str(pad.inputs[0])].shape
    output = graph.tensors[operator.outputs[0]].shape
    windows = _windows(graph, operator)
    strides = operator.integer("stride_h", 1), operator.integer("stride_w", 1)
    return all(
        is_same(image[axis], windows[axis - 1], strides[axis - 1], int(amounts[axis][0]), output[axis])
        for axis in (1, 2)
    )


def _windows(graph: LoweredGraph, operator: Operator) -> tuple[int, int]:
    """Height and width that one window spans."""
    if operator.kind in CONVOLUTIONS:
        height, width = graph.tensors[str(operator.inputs[1])].shape[1:3]
    else:
        height, width = operator.integer("filter_height"), operator.integer("filter_width")
    return (
        reach(height, operator.integer("dilation_h_factor", 1)),
        reach(width, operator.integer("dilation_w_factor", 1)),
    )


def _amounts(graph: LoweredGraph, pad: Operator) -> NDArray[np.int32]:
    """Shape (rank, 2): elements before and after each axis."""
    amounts = graph.tensors[str(pad.inputs[1])].data
    assert amounts is not None, "only plain pads are asked for their amounts"
    return amounts.astype(np.int32)
