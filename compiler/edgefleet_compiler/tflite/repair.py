"""Files that TFLite Micro tolerates and LiteRT does not load: repaired, so that both can be compared."""

from __future__ import annotations

import struct
from typing import Any, Final

from ai_edge_litert import schema_py_generated as schema

_DIMENSION_FIELD: Final = 16  # the slot of quantized_dimension in the vtable of QuantizationParameters (schema.fbs)


def repaired(data: bytes) -> bytes | None:
    """The file with each vector quantised along its only axis.

    Old converters gave biases the channel axis of the weights (3), which a vector does not have. It is the same file
    but for these numbers.

    Args:
        data: A file that ``read_tflite`` takes.

    Returns:
        None where nothing has to be repaired.
    """
    subgraph = schema.Model.GetRootAs(data).Subgraphs(0)
    fixed = bytearray(data)
    for index in range(subgraph.TensorsLength()):
        tensor = subgraph.Tensors(index)
        parameters = tensor.Quantization()
        if parameters is not None and tensor.ShapeLength() == 1 and parameters.QuantizedDimension() != 0:
            struct.pack_into("<i", fixed, _position(parameters), 0)
    return None if fixed == data else bytes(fixed)


def _position(parameters: Any) -> int:
    """The byte at which the axis is stored."""
    table = parameters._tab  # noqa: SLF001 - the generated classes publish it nowhere else
    position: int = table.Pos + table.Offset(_DIMENSION_FIELD)
    return position
