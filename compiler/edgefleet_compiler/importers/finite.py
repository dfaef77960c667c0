"""Constants that are no finite numbers: they make everything after them NaN or infinite.

Infinity has its uses as a bound of Clip, as what Pad fills with before a MaxPool, or as a mask that is added; as a
weight it has none. NaN has none anywhere.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.graph import constant
from edgefleet_contract.errors import ModelMalformed

_WEIGHTED = frozenset({"BatchNormalization", "Conv", "ConvTranspose", "Gemm", "MatMul"})


def refuse_non_finite(graph: ir.Graph) -> None:
    """Refuse constants that hold NaN, and weights that hold infinity.

    Raises:
        ModelMalformed: There is one; the first is named, with the node that uses it.
    """
    for node in graph:
        for value in node.inputs:
            array = constant(value)
            if array is None or value is None or array.dtype.kind != "f":
                continue
            if np.isnan(array).any():
                raise _refusal(value, node, "NaN")
            if node.op_type in _WEIGHTED and np.isinf(array).any():
                raise _refusal(value, node, "infinity")


def _refusal(value: ir.Value, node: ir.Node, seen: str) -> ModelMalformed:
    return ModelMalformed(
        f"The constant {value.name!r} of {node.name!r} ({node.op_type}) holds {seen}",
        expected="finite numbers",
        remedy="Look at the training, or export the model again.",
        tensor=value.name,
        node=node.name,
    )
