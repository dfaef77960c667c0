"""The bytes of an ONNX file: short names, no shapes of inner values, no documentation strings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count, product
from string import ascii_letters, digits

import onnx
import onnx_ir as ir

PRODUCER = "edgefleet"


def write_file(model: ir.Model, opset: int) -> bytes:
    """Serialise a model.

    Args:
        model: What to write.
        opset: Its opset; the file gets the oldest IR version that has it.
    """
    proto = ir.to_proto(model)
    graph = proto.graph
    _shorten_names(graph)
    for node in graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
        del node.metadata_props[:]
    for tensor in graph.initializer:
        tensor.ClearField("doc_string")
    del graph.value_info[:]
    graph.name = "m"
    result = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    result.ir_version = onnx.helper.find_min_ir_version_for(result.opset_import)
    result.producer_name = PRODUCER
    return bytes(result.SerializeToString(deterministic=True))


def _shorten_names(graph: onnx.GraphProto) -> None:
    """Give inner values names of one or two characters, the shortest to those named most often."""
    kept = {value.name for value in (*graph.input, *graph.output)}
    mentions = Counter(name for node in graph.node for name in (*node.input, *node.output) if name)
    mentions.update(tensor.name for tensor in graph.initializer)
    fresh = (name for name in _short_names() if name not in kept)
    short = {name: name if name in kept else next(fresh) for name, _ in mentions.most_common()}
    for node in graph.node:
        for names in (node.input, node.output):
            renamed = [short[name] if name else name for name in names]
            del names[:]
            names.extend(renamed)
    for tensor in graph.initializer:
        tensor.name = short[tensor.name]


def _short_names() -> Iterator[str]:
    for length in count(1):
        for characters in product(ascii_letters + digits, repeat=length):
            yield "".join(characters)
