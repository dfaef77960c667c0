"""Which layer a node of an ONNX artifact belongs to, and which nodes of the file became one in onnxruntime.

Artifacts carry no names inside. Exporting keeps the order of nodes of one operator, by which those of the file and of
the hub that it was made from are matched. What onnxruntime's optimiser makes of them gets names from those that it
replaces, so that numbers for names tell where each came from.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar

import onnx
import onnx_ir as ir

_Item = TypeVar("_Item")
_NUMBER = re.compile(r"<(\d+)>")
_FUSED = ("Clip", "Relu")
_BETWEEN = ("Cast", "DequantizeLinear", "QuantizeLinear", "Transpose")  # exporting puts in and takes away such


def numbered(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with each node, and what it gives to others, named by the node's number.

    Values are left as they are where a subgraph may read them.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    nested = any(attribute.HasField("g") for node in graph.node for attribute in node.attribute)
    kept = {value.name for value in (*graph.input, *graph.output)}
    renamed: dict[str, str] = {}
    for index, node in enumerate(graph.node):
        node.name = f"<{index}>"
        node.input[:] = [renamed.get(name, name) for name in node.input]
        for place, name in enumerate(node.output):
            if name and name not in kept and not nested:
                renamed[name] = node.output[place] = f"<{index}>:{place}"
    del graph.value_info[:]
    return copy


def numbers_in(name: str) -> list[int]:
    """The numbers of the nodes that a name tells of."""
    return [int(number) for number in _NUMBER.findall(name)]


def layers_of_nodes(graph: onnx.GraphProto, hub: ir.Model) -> list[str | None]:
    """For each node of a file, the name of its layer: that of the node in the hub, or of what it is fused into.

    Args:
        graph: Of the file.
        hub: That it was exported from, or the float one with the same layers.

    Returns:
        Names; None for what stands between layers, and for operators that exporting made others of.
    """
    named = _by_operator((node.op_type, node.name or "") for node in hub.graph)
    found = _by_operator((node.op_type, index) for index, node in enumerate(graph.node))
    layers: list[str | None] = [None] * len(graph.node)
    for kind, indices in found.items():
        names = named.get(kind, [])
        if kind not in _BETWEEN and len(names) == len(indices):
            for index, name in zip(indices, names, strict=True):
                layers[index] = name
    producers = {name: index for index, node in enumerate(graph.node) for name in node.output}
    for index, node in enumerate(graph.node):
        if node.op_type in _FUSED and node.input[0] in producers:
            layers[index] = layers[producers[node.input[0]]] or layers[index]
    return layers


def _by_operator(nodes: Iterable[tuple[str, _Item]]) -> dict[str, list[_Item]]:
    grouped: dict[str, list[_Item]] = defaultdict(list)
    for kind, item in nodes:
        grouped[kind].append(item)
    return grouped
