"""The lowest value around an image that is nowhere negative becomes zeros: no maximum notices, and PAD runs anywhere.

PADV2, which pads with a value of choice, is not among the operators that XNNPACK takes; PAD is.
"""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.lowered.editing import keeps_parameters, readers, writers
from edgefleet_compiler.lowered.fold_padding import value_is_lowest
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator

NOWHERE_NEGATIVE = frozenset({"RELU", "RELU6", "RELU_0_TO_1"})


def use_plain_padding(graph: LoweredGraph) -> None:
    """Turn PADV2 into PAD where only maximum pools read it, each of whose windows holds an element of the image."""
    read_by, written_by = readers(graph), writers(graph)
    for pad in graph.operators:
        if pad.kind != "PADV2" or not value_is_lowest(graph, pad) or pad.outputs[0] in graph.outputs:
            continue
        if not keeps_parameters(graph, pad):
            continue
        only_maxima = all(reader.kind == "MAX_POOL_2D" for reader in read_by[pad.outputs[0]])
        source = str(pad.inputs[0])
        if only_maxima and _nowhere_negative(graph, source, written_by.get(source)):
            pad.kind, pad.inputs = "PAD", pad.inputs[:2]


def _nowhere_negative(graph: LoweredGraph, name: str, producer: Operator | None) -> bool:
    """Whether a clamp wrote the tensor, or its integers begin at zero."""
    tensor = graph.tensors[name]
    if tensor.quantisation is not None and tensor.dtype == np.int8:
        return int(tensor.quantisation.zero_point[0]) == -128
    if producer is None:
        return False
    return bool({producer.kind, producer.attributes.get("fused_activation_function")} & NOWHERE_NEGATIVE)
