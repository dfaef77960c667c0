"""Convolutions and pools get every attribute written out: kernel, strides, dilations, pads; no ``auto_pad``.

Source: ONNX operator specification, ``Conv``, ``ConvTranspose``, ``MaxPool``, ``AveragePool``: the formulas for
``auto_pad`` and for ``ceil_mode``. Rounding the size up is the same as padding the end until the last window fits,
where padding does not enter the result (always in MaxPool; in AveragePool without ``count_include_pad``).
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgefleet_compiler.hub.graph import integer, integers, shape_of, text
from edgefleet_compiler.passes.record import Effects

_WINDOWED = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool")


def write_out_windows(model: ir.Model) -> Effects:
    """Set ``kernel_shape``, ``strides``, ``dilations`` and ``pads`` (and ``group``) of every windowed operator.

    An AveragePool has ``dilations`` only where they do something.
    """
    effects = Effects()
    for node in model.graph:
        if node.op_type not in _WINDOWED or node.inputs[0] is None:
            continue
        before = dict(node.attributes)
        _write_out(node)
        effects["wrote out the window of {} nodes"] += int(dict(node.attributes) != before)
    return +effects


def _write_out(node: ir.Node) -> None:
    assert node.inputs[0] is not None
    source, output = shape_of(node.inputs[0])[2:], shape_of(node.outputs[0])[2:]
    ones = (1,) * len(source)
    strides = integers(node, "strides") or ones
    dilations = integers(node, "dilations") or ones
    kernel = integers(node, "kernel_shape") or _kernel_of_weights(node)
    extents = [dilation * (size - 1) + 1 for dilation, size in zip(dilations, kernel, strict=True)]
    auto_pad = text(node, "auto_pad", "NOTSET")
    pads = integers(node, "pads") or (0,) * (2 * len(source))
    if node.op_type == "ConvTranspose":
        if auto_pad != "NOTSET" or "output_shape" in node.attributes:
            totals = _trimmed(node, source, output, strides, extents)
            if min(totals) < 0:  # a result larger than the full one is only to be had by output_shape
                return
            pads = _split(totals, larger_half_first=auto_pad != "SAME_UPPER")
            node.attributes.pop("output_shape", None)
    elif auto_pad.startswith("SAME"):
        pads = _split(_missing(source, output, strides, extents), larger_half_first=auto_pad == "SAME_LOWER")
    elif integer(node, "ceil_mode", 0) and not integer(node, "count_include_pad", 0):
        pads = _until_the_last_window_fits(pads, source, output, strides, extents)
        node.attributes.pop("ceil_mode")
    node.attributes.pop("auto_pad", None)
    for name, numbers in (("kernel_shape", kernel), ("strides", strides), ("dilations", dilations), ("pads", pads)):
        node.attributes.add(ir.AttrInt64s(name, numbers))
    if node.op_type == "AveragePool" and dilations == ones:
        del node.attributes["dilations"]  # new in opset 19, and onnxruntime's QLinearAveragePool refuses it
    if node.op_type.startswith("Conv"):
        node.attributes.add(ir.AttrInt64("group", integer(node, "group", 1)))


def _kernel_of_weights(node: ir.Node) -> tuple[int, ...]:
    assert node.inputs[1] is not None
    return shape_of(node.inputs[1])[2:]


def _missing(source: Sequence[int], output: Sequence[int], strides: Sequence[int], extents: Sequence[int]) -> list[int]:
    """How many elements per axis the windows reach beyond the input."""
    return [
        max((count - 1) * stride + extent - size, 0)
        for size, count, stride, extent in zip(source, output, strides, extents, strict=True)
    ]


def _trimmed(
    node: ir.Node, source: Sequence[int], output: Sequence[int], strides: Sequence[int], extents: Sequence[int]
) -> list[int]:
    """How many elements per axis a ConvTranspose cuts off its full result."""
    extra = integers(node, "output_padding") or (0,) * len(source)
    return [
        stride * (size - 1) + added + extent - wanted
        for size, wanted, stride, extent, added in zip(source, output, strides, extents, extra, strict=True)
    ]


def _split(totals: Sequence[int], *, larger_half_first: bool) -> tuple[int, ...]:
    """Padding of both ends from its sum: all begins, then all ends."""
    begins = [(total + 1) // 2 if larger_half_first else total // 2 for total in totals]
    return (*begins, *(total - begin for total, begin in zip(totals, begins, strict=True)))


def _until_the_last_window_fits(
    pads: Sequence[int],
    source: Sequence[int],
    output: Sequence[int],
    strides: Sequence[int],
    extents: Sequence[int],
) -> tuple[int, ...]:
    axes = len(source)
    reach = _missing(source, output, strides, extents)
    begins, ends = pads[:axes], pads[axes:]
    return (*begins, *(max(end, total - begin) for begin, end, total in zip(begins, ends, reach, strict=True)))
