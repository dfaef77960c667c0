"""A model's own functions, as exporters write them for layers: their bodies take the place of their calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
from onnx import inliner

from edgefleet_compiler.importers.onnx_faults import ONNX_FAULTS, told_by
from edgefleet_contract.errors import ModelMalformed

MOST_NODES = 200_000
"""What a model may have once its functions are written out; forty that call each other twice would make a million
million."""

MOST_FUNCTIONS = 4096


def inline_local_functions(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions; ``proto`` itself where it has none.

    Args:
        proto: Checked, so that no function calls itself.

    Raises:
        ModelMalformed: The functions do not fit their calls, or make far too many nodes.
    """
    if not proto.functions:
        return proto
    _refuse_explosion(proto)
    try:
        return inliner.inline_local_functions(proto)
    except ONNX_FAULTS as cause:
        raise ModelMalformed(f"The model's functions cannot be inlined: {told_by(cause)}") from cause


def _refuse_explosion(proto: onnx.ModelProto) -> None:
    count = len(proto.functions)
    if count > MOST_FUNCTIONS:
        raise ModelMalformed(f"The model has {count} functions of its own", expected=f"at most {MOST_FUNCTIONS}")
    nodes: dict[tuple[str, str], int] = {}
    for _ in range(count):  # a call may stand before the function that it calls, and so may that
        before = dict(nodes)
        for function in proto.functions:
            nodes[function.domain, function.name] = _written_out(function.node, nodes)
        if nodes == before:
            break
        if max(nodes.values()) > MOST_NODES:
            break
    total = _written_out(proto.graph.node, nodes)
    if total > MOST_NODES:
        raise ModelMalformed(
            f"The model has more than {MOST_NODES} nodes once its functions are written out",
            expected=f"at most {MOST_NODES}",
            remedy="Look for functions that call each other over and over.",
        )


def _written_out(nodes: Iterable[onnx.NodeProto], sizes: Mapping[tuple[str, str], int]) -> int:
    return sum(sizes.get((node.domain, node.op_type), 1) for node in nodes)
