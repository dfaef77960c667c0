"""What LiteRT takes for a model with its default delegate, XNNPACK.

XNNPACK is given the whole graph; LiteRT's own arena (``arena_planner.cc``, 64-byte alignment) then holds inputs and
outputs alone. XNNPACK lets convolutions pad by themselves (``src/subgraph.c``), plans what lies between the ends
greedily by size (``src/memory-planner.c``), keeps its own packed copy of weights and biases, and for windows of more
than one element a table of pointers into the image (``src/operators/convolution-nhwc.c``: a pointer for each element
of each window; rows share them when depthwise).

Not modelled: the interpreter's and the delegate's own structures, and the padding of packed weights to whole tiles.
Against the allocations of ai-edge-litert 2.3.0 on x86-64 (``mallinfo2``) they are 45 to 145 KB for the four MLPerf Tiny
models in float32, fp16 and int8: the prediction is 5 to 17 % low, for the smallest (keyword spotting) 17 to 40 %,
for a network of large images within 1 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator
from edgefleet_compiler.lowered.lifetimes import lifetimes, tensor_bytes, widened_constants
from edgefleet_compiler.memory.greedy import Buffer, align, extent, place

_ALIGNMENT: Final = 64  # kDefaultTensorAlignment, and XNN_ALLOCATION_ALIGNMENT on the processors of our targets
_READ_BEYOND: Final = 16  # XNN_EXTRA_BYTES: kernels may read so far past the end of a tensor
_ROWS: Final = 4  # output pixels that one step of a matrix kernel computes; tables are filled up to whole steps
_PACKED_PER_CHANNEL: Final = {"int8": 8, "float32": 4}  # bytes: an int32 bias and a float scale, or a float bias
_WEIGHTED: Final = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True)
class LitertMemory:
    """Working memory by what it is for, in bytes.

    Attributes:
        border: Inputs and outputs.
        workspace: What lies between them.
        packed: XNNPACK's copy of weights and biases.
        tables: Pointers into images.
    """

    border: int
    workspace: int
    packed: int
    tables: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.border + self.workspace + self.packed + self.tables


def plan_litert(graph: LoweredGraph, *, pointer_bytes: int) -> LitertMemory:
    """What LiteRT takes for a model.

    Args:
        graph: As it stands in the ``.tflite`` file.
        pointer_bytes: 8, or 4 on a 32-bit system.
    """
    border = {*graph.inputs, *graph.outputs}
    unpacked = widened_constants(graph)
    spans = {name: span for name, span in _with_pads_fused(graph).items() if name not in border | unpacked}
    buffers = [
        Buffer(align(tensor_bytes(graph.tensors[name]) + _READ_BEYOND, _ALIGNMENT), first, last)
        for name, (first, last) in spans.items()
    ]
    return LitertMemory(
        border=sum(align(tensor_bytes(graph.tensors[name]), _ALIGNMENT) for name in border),
        workspace=extent(buffers, place(buffers)),
        packed=sum(_packed_bytes(operator, graph) for operator in graph.operators if operator.kind in _WEIGHTED),
        tables=pointer_bytes * sum(_pointers(operator, graph) for operator in graph.operators),
    )


def _with_pads_fused(graph: LoweredGraph) -> dict[str, tuple[int, int]]:
    """Lifetimes without what is only padded for convolutions, which then read the image itself."""
    spans = lifetimes(graph)
    for operator in (operator for operator in graph.operators if operator.kind == "PAD"):
        readers = {reader.kind for reader in graph.consumers(operator.outputs[0])}
        if readers and readers <= {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            _, last = spans.pop(operator.outputs[0])
            image = operator.inputs[0] or ""
            if image in spans:
                spans[image] = (spans[image][0], max(spans[image][1], last))
    return spans


def _packed_bytes(operator: Operator, graph: LoweredGraph) -> int:
    weights = graph.tensors[operator.inputs[1] or ""]
    channels = weights.shape[3] if operator.kind == "DEPTHWISE_CONV_2D" else weights.shape[0]
    width = 4 if weights.dtype == np.float16 else weights.dtype.itemsize
    return prod(weights.shape) * width + channels * _PACKED_PER_CHANNEL.get(str(weights.dtype), 4)


def _pointers(operator: Operator, graph: LoweredGraph) -> int:
    if operator.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return 0
    _, kernel_height, kernel_width, _ = graph.tensors[operator.inputs[1] or ""].shape
    _, height, width, _ = graph.tensors[operator.outputs[0]].shape
    stride = operator.integer("stride_w", 1)
    if operator.kind == "DEPTHWISE_CONV_2D":
        step = min(stride, kernel_width)
        return height * (kernel_height * kernel_width + (width - 1) * step * kernel_height)
    if kernel_height == kernel_width == stride == 1:
        return 0
    return align(height * width, _ROWS) * kernel_height * kernel_width
