"""Operators that ONNX defines by others are written out by that definition, where the compiler has no rule of its own.

Source: ONNX operator specification, "function" operators: their schemas carry a body, which for some depends on the
attributes and types of the call. ``Attention``, ``Mish``, ``Celu`` or ``RMSNormalization`` so need no file here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import defs, inliner

from edgefleet_compiler.hub.operators import AT_RUN_TIME, CONTROL_FLOW, QUANTISED, SUPPORTED
from edgefleet_compiler.importers.onnx_faults import ONNX_FAULTS, told_by
from edgefleet_contract.errors import ModelMalformed

MOST_ROUNDS = 8
"""Bodies call further functions; ONNX nests them three deep at most."""

_KEPT = SUPPORTED | CONTROL_FLOW | QUANTISED | AT_RUN_TIME | {"Bernoulli", "Range"}
"""Operators that stay as they are: known ones, and those whose bodies loop, quantise or draw random numbers."""

_Schema = Any
"""``onnx.defs.OpSchema``, whose type stubs lack all that concerns functions."""

_DOMAIN = "edgefleet.functions"
"""Where the bodies stand as functions of the model until they are inlined."""


def expand_functions(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Put bodies in the place of operators that the compiler does not know and that have one.

    Args:
        proto: Checked; of any opset that ``onnx`` knows. It is not changed.

    Returns:
        The model of the same opset; ``proto`` itself where there is nothing to expand. Nodes of a body are named after
        the node that it stands for.

    Raises:
        ModelMalformed: A call does not fit the operator's definition.
    """
    opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    for _ in range(MOST_ROUNDS):
        if not any(_schema_of(node, opset) for node in proto.graph.node):
            break
        try:
            proto = _expanded(proto, opset)
        except ONNX_FAULTS as cause:
            raise ModelMalformed(f"Operators of the model do not fit their definitions: {told_by(cause)}") from cause
    return proto


def _schema_of(node: onnx.NodeProto, opset: int) -> _Schema | None:
    """The definition of an operator that is to be expanded; None for those that stay."""
    if node.domain not in ("", "ai.onnx") or node.op_type in _KEPT:
        return None
    if not defs.has(node.op_type, max_inclusive_version=opset):
        return None
    schema: _Schema = defs.get_schema(node.op_type, max_inclusive_version=opset)
    versions = (*schema.function_opset_versions, *schema.context_dependent_function_opset_versions)
    return schema if min(versions, default=opset + 1) <= opset else None


def _expanded(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The model with one level of bodies inlined."""
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    types = _types(proto)
    for index, node in enumerate(result.graph.node):
        schema = _schema_of(node, opset)
        if schema is None:
            continue
        body = _body(schema, node, opset, types)
        body.domain, body.name = _DOMAIN, f"{node.op_type}_{index}"
        del body.opset_import[:]
        body.opset_import.append(onnx.helper.make_opsetid("", opset))
        for inner in body.node:
            inner.name = f"{node.name or node.output[0]}/{inner.output[0]}"
        _write_out_defaults(node, schema, body)
        node.domain, node.op_type = body.domain, body.name
        result.functions.append(body)
    result.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    result = inliner.inline_local_functions(result)
    kept = [entry for entry in result.opset_import if entry.domain != _DOMAIN]
    del result.opset_import[:]
    result.opset_import.extend(kept)
    return result


def _types(proto: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    """The type of every value that has one, as far as it is known before input shapes are."""
    graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    types = {value.name: value.type for value in (*graph.input, *graph.value_info, *graph.output)}
    for tensor in graph.initializer:
        types[tensor.name] = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
    return types


def _body(schema: _Schema, node: onnx.NodeProto, opset: int, types: Mapping[str, onnx.TypeProto]) -> onnx.FunctionProto:
    """The definition of a call, in the newest form that its opset takes."""
    if schema.has_function:
        version = max(known for known in schema.function_opset_versions if known <= opset)
        return _function(schema.get_function_with_opset_version(version))
    version = max(known for known in schema.context_dependent_function_opset_versions if known <= opset)
    known = [types.get(name, onnx.TypeProto()).SerializeToString() for name in node.input]
    return _function(schema.get_context_dependent_function_with_opset_version(version, node.SerializeToString(), known))


def _function(serialised: bytes) -> onnx.FunctionProto:
    function = onnx.FunctionProto()
    function.ParseFromString(serialised)
    return function


def _write_out_defaults(node: onnx.NodeProto, schema: _Schema, body: onnx.FunctionProto) -> None:
    """Give the call the attributes that its body refers to and that it left at their defaults."""
    given = {attribute.name for attribute in node.attribute}
    for name in body.attribute:
        default = schema.attributes[name].default_value
        if name not in given and default.name:
            node.attribute.append(default)
