"""Names for the inputs and outputs of a ``.tflite`` file, which the converter calls as it likes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER = b"TFL3"  # schema.fbs: file_identifier


def rename(data: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The file with other names for its inputs and outputs, in their order.

    Where the converter dropped or merged some, none is renamed, as nobody could tell which are left.
    """
    model: Any = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    graph = model.subgraphs[0]
    for indices, names in ((graph.inputs, inputs), (graph.outputs, outputs)):
        if len(set(indices)) == len(names):
            for index, name in zip(indices, names, strict=True):
                graph.tensors[index].name = name.encode()
    model.signatureDefs = None  # they name the tensors once more
    builder: Any = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())
