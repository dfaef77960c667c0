"""ONNX models of any opset as models of the hub's.

Source: the ``onnx`` package's version converter. It lacks steps down for operators to which a newer opset only brought
element types; a model that is written as the hub's opset would have it is taken as such.
"""

from __future__ import annotations

import onnx
from onnx import defs, version_converter

from edgefleet_compiler.hub.graph import IR_VERSION, OPSET
from edgefleet_compiler.importers.onnx_faults import ONNX_FAULTS, told_by
from edgefleet_compiler.refusal import Refusal, unsupported
from edgefleet_contract.errors import OperatorUnsupported


def convert_to_hub_opset(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model in the hub's opset and IR version.

    Args:
        proto: Checked, of an opset that ``onnx`` knows; it may be changed.

    Raises:
        OperatorUnsupported: It cannot be converted; the nodes that stand in the way are named where they are known.
    """
    # Newer IR versions add fields only; the converter and onnxruntime want one that knows the opset.
    proto.ir_version = IR_VERSION
    version = opset_of(proto)
    if version != OPSET:
        try:
            proto = version_converter.convert_version(proto, OPSET)
        except ONNX_FAULTS as cause:
            if version < OPSET:
                raise OperatorUnsupported(
                    f"The model cannot be converted from opset {version} to {OPSET}: {told_by(cause)}",
                    remedy=f"Export it again with opset {OPSET}.",
                    opset=version,
                ) from cause
            _relabel(proto, cause)
    proto.ir_version = IR_VERSION
    return proto


def opset_of(proto: onnx.ModelProto) -> int:
    """The opset of ONNX's own operators that a model was written for."""
    return next(int(entry.version) for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))


def _relabel(proto: onnx.ModelProto, cause: Exception) -> None:
    """Take a model of a newer opset, which the converter does not, for one of the hub's, if all its nodes are such."""
    version = opset_of(proto)
    foreign = [node for node in proto.graph.node if not _is_old(node, version)]
    if foreign:
        raise unsupported(
            [Refusal(_name(node), node.op_type, f"opset {OPSET} has it in another form") for node in foreign],
            f"The model cannot be converted from opset {version} to {OPSET}",
            expected=f"operators as opset {OPSET} has them",
            remedy=f"Export it again with opset {OPSET}.",
        ) from cause
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = OPSET


def _is_old(node: onnx.NodeProto, version: int) -> bool:
    """Whether the node is written as ``OPSET`` has it: with inputs and attributes that it knows, by equal defaults."""
    if not defs.has(node.op_type, max_inclusive_version=OPSET):
        return False
    new = defs.get_schema(node.op_type, max_inclusive_version=version)
    old = defs.get_schema(node.op_type, max_inclusive_version=OPSET)
    given = {attribute.name for attribute in node.attribute}
    left_out = (set(old.attributes) & set(new.attributes)) - given
    return (
        given <= set(old.attributes)
        and old.min_input <= len(node.input) <= old.max_input
        and all(old.attributes[name].default_value == new.attributes[name].default_value for name in left_out)
    )


def _name(node: onnx.NodeProto) -> str:
    return str(node.name or next((name for name in node.output if name), node.op_type))
