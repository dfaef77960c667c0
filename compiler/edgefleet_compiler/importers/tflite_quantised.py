"""Quantised TFLite files into the lowered graph, where they stay: int8, int16 with int8 weights, and uint8 of old."""

from __future__ import annotations

from edgefleet_compiler.lowered.coherence import check_quantised
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.lowered.signed import sign


def import_quantised(graph: LoweredGraph) -> LoweredGraph:
    """The graph of a quantised ``.tflite`` model, checked, its activations signed.

    Args:
        graph: As ``read_tflite`` gives it; it is not changed.

    Raises:
        ModelMalformed: Scales are missing, or types do not go together.
    """
    check_quantised(graph)
    checked = graph.copy()
    sign(checked)
    return checked
