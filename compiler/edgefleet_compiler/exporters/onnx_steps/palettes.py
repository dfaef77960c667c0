"""Palettes in the ONNX artifact: weights of few distinct integers as 4-bit numbers of these.

onnxruntime folds Cast and Gather of constants when it loads the file, before it makes integer kernels: those get plain
8-bit weights. Its Gather takes numbers of 32 and 64 bits only.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.four_bits import UINT4
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, name_of, shape_of
from edgefleet_compiler.quantise.palettes.size import FEWEST_ELEMENTS, LEVELS


def store_palettes(graph: ir.Graph) -> None:
    """Let Cast and Gather stand for each 8-bit constant that has at most 16 distinct integers, in place."""
    editor = Editor(graph)
    for value in list(graph.initializers.values()):
        array = constant(value)
        if array is None or array.dtype != np.int8 or array.size < FEWEST_ELEMENTS or value.is_graph_output():
            continue
        levels, numbers = np.unique(array, return_inverse=True)
        if len(levels) > LEVELS:
            continue
        name, first = name_of(value), _first(graph, value)
        stored = editor.constant(numbers.reshape(array.shape).astype(UINT4), f"{name}/numbers")
        wide = editor.node(
            "Cast",
            [stored],
            name=f"{name}/wide",
            shape=array.shape,
            dtype=ir.DataType.INT32,
            attributes={"to": int(ir.DataType.INT32)},
            before=first,
        )
        taken = editor.node(
            "Gather",
            [editor.constant(levels, f"{name}/palette"), wide],
            name=f"{name}/taken",
            shape=shape_of(value),
            dtype=ir.DataType.INT8,
            before=first,
        )
        value.replace_all_uses_with(taken)
        del graph.initializers[name]


def _first(graph: ir.Graph, value: ir.Value) -> ir.Node:
    """The first node that reads a value."""
    readers = set(value.consumers())
    return next(node for node in graph if node in readers)
