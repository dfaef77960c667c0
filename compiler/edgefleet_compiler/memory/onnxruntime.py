"""What onnxruntime takes for a model on its CPU provider.

Constants are copied out of the file. Activations come from an arena (``core/framework/bfc_arena.cc``) that grows by
whole regions: 1 MiB first, then twice as much as the last (``kNextPowerOfTwo``). An int8 convolution whose window has
more than one element lays out the image's columns beside them (``core/providers/cpu/quantization/qlinearconv.cc``).
Constants stored in fewer bits are widened, as its optimiser folds what widens them.

Not modelled: the session's own structures, and weights that kernels repack. Against the allocations of onnxruntime
1.31 on x86-64 (``mallinfo2``) the prediction is 8 to 35 % low for the four MLPerf Tiny models in float32, fp16 and
int8, and within 9 % for a network of large images, where activations outweigh the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator
from edgefleet_compiler.lowered.lifetimes import lifetimes, tensor_bytes, widened_constants
from edgefleet_compiler.memory.greedy import Buffer, extent, place

_FIRST_REGION: Final = 1024 * 1024  # kDefaultInitialChunkSizeBytes


@dataclass(frozen=True)
class OnnxRuntimeMemory:
    """Working memory by what it is for, in bytes.

    Attributes:
        constants: Copies of weights and biases.
        arena: Regions of the arena that activations are in.
    """

    constants: int
    arena: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.constants + self.arena


def plan_onnxruntime(graph: LoweredGraph) -> OnnxRuntimeMemory:
    """What onnxruntime takes for a model.

    Args:
        graph: The lowered form of the ``.onnx`` artifact: its activations are as large, whatever their layout.
    """
    spans = lifetimes(graph)
    widened = widened_constants(graph)
    buffers = [
        Buffer(tensor_bytes(graph.tensors[name]), first, last)
        for name, (first, last) in spans.items()
        if name not in widened
    ]
    buffers += [
        Buffer(_column_bytes(operator, graph), step, step) for step, operator in enumerate(graph.operators, start=1)
    ]
    narrow = {operator.inputs[0] for operator in graph.operators if operator.outputs[0] in widened}
    kept = [name for name, tensor in graph.tensors.items() if tensor.is_constant and name not in narrow]
    constants = sum(prod(graph.tensors[name].shape) * graph.tensors[name].dtype.itemsize for name in (*kept, *widened))
    return OnnxRuntimeMemory(constants, arena_bytes(extent(buffers, place(buffers))))


def _column_bytes(operator: Operator, graph: LoweredGraph) -> int:
    """For each output pixel the part of the image that its window covers."""
    if operator.kind != "CONV_2D" or graph.tensors[operator.inputs[0] or ""].dtype != np.int8:
        return 0
    window = prod(graph.tensors[operator.inputs[1] or ""].shape[1:3])
    channels = graph.tensors[operator.inputs[0] or ""].shape[3]
    return prod(graph.tensors[operator.outputs[0]].shape[:3]) * window * channels if window > 1 else 0


def arena_bytes(needed: int) -> int:
    """What an arena has grown to when ``needed`` bytes are in it at once."""
    region = total = _FIRST_REGION
    while total < needed:
        region *= 2
        total += region
    return total
