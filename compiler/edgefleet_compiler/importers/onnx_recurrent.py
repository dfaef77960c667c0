"""Recurrent layers take time on the first axis: onnxruntime has no other layout, so Transposes make it so.

Source: ONNX operator specification, LSTM, GRU and RNN, attribute ``layout``.
"""

from __future__ import annotations

import onnx

_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})
_SEQUENCE, _STATE = [1, 0, 2], [1, 0, 2]
_BATCH_BEFORE_DIRECTIONS = [2, 0, 1, 3]
"""From (steps, directions, batch, hidden) to (batch, steps, directions, hidden)."""


def put_time_first(proto: onnx.ModelProto) -> None:
    """Turn inputs, states and outputs of recurrent layers whose batch comes first; the model is changed in place."""
    nodes = []
    for node in proto.graph.node:
        if node.op_type in _RECURRENT and _batch_first(node):
            nodes += _turned(node)
        else:
            nodes.append(node)
    if len(nodes) != len(proto.graph.node):
        del proto.graph.node[:]
        proto.graph.node.extend(nodes)


def _batch_first(node: onnx.NodeProto) -> bool:
    return any(attribute.name == "layout" and attribute.i for attribute in node.attribute)


def _turned(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The layer with time first, between Transposes."""
    layer = onnx.NodeProto()
    layer.CopyFrom(node)
    kept = [attribute for attribute in node.attribute if attribute.name != "layout"]
    del layer.attribute[:]
    layer.attribute.extend(kept)
    before, after = [], []
    for index in (0, 5, 6):
        if index < len(node.input) and node.input[index]:
            layer.input[index] = f"{_label(node)}/input_{index}"
            before.append(_transpose(node.input[index], layer.input[index], _SEQUENCE if index == 0 else _STATE))
    for index, name in enumerate(node.output):
        if name:
            layer.output[index] = f"{_label(node)}/output_{index}"
            after.append(_transpose(layer.output[index], name, _BATCH_BEFORE_DIRECTIONS if index == 0 else _STATE))
    return [*before, layer, *after]


def _label(node: onnx.NodeProto) -> str:
    return str(node.name or next(name for name in node.output if name))


def _transpose(source: str, output: str, axes: list[int]) -> onnx.NodeProto:
    return onnx.helper.make_node("Transpose", [source], [output], f"{output}/turned", perm=axes)
