"""How much memory an ONNX model asks for, by its shapes alone: a file of a few bytes can ask for any amount."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import byte_size, has_static_shape
from edgefleet_contract.errors import ModelMalformed

MOST_BYTES = 2**30
"""What may be alive at once while the model runs; no target has as much to spare."""


def refuse_bombs(graph: ir.Graph) -> None:
    """Refuse a graph whose values take too much at once, when nodes run in their order and values go after their use.

    Values whose shapes are not known yet count nothing.

    Raises:
        ModelMalformed: ``MOST_BYTES`` are exceeded; the value that does it is named.
    """
    left = {value: len(value.uses()) + value.is_graph_output() for node in graph for value in node.outputs}
    alive = 0
    for value in (*graph.inputs, *left):
        _check(value, _bytes(value))
    for node in graph:
        for value in node.outputs:
            alive += _bytes(value)
            _check(value, alive)
        for used in (value for value in node.inputs if value in left):
            left[used] -= 1
            alive -= _bytes(used) if left[used] == 0 else 0
        alive -= sum(_bytes(value) for value in node.outputs if left[value] == 0)


def _check(value: ir.Value, size: int) -> None:
    if size > MOST_BYTES:
        raise ModelMalformed(
            f"With the value {value.name!r} the model takes {size} bytes while it runs",
            expected=f"at most {MOST_BYTES} at once",
            remedy="Look for sizes in the model that nobody meant, or give smaller --input-shape.",
            value=value.name,
        )


def _bytes(value: ir.Value) -> int:
    known = value.name and has_static_shape(value) and value.dtype is not None
    return byte_size(value) if known else 0
