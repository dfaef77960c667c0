"""ONNX files into the hub: checked, converted to one opset, with static shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types

from edgefleet_compiler.hub.graph import OPSET
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.importers.finite import refuse_non_finite
from edgefleet_compiler.importers.onnx_external import load_external_data
from edgefleet_compiler.importers.onnx_faults import ONNX_FAULTS, told_by
from edgefleet_compiler.importers.onnx_functions import expand_functions
from edgefleet_compiler.importers.onnx_local_functions import inline_local_functions
from edgefleet_compiler.importers.onnx_operators import refuse_left_over, refuse_unsupported
from edgefleet_compiler.importers.onnx_opsets import convert_to_hub_opset
from edgefleet_compiler.importers.onnx_quantised import normalise_pairs, unfold_quantised
from edgefleet_compiler.importers.onnx_recurrent import put_time_first
from edgefleet_compiler.importers.onnx_resizes import OldResizes
from edgefleet_compiler.importers.onnx_shapes import fix_input_shapes, infer_static_shapes, leave_sizes_open
from edgefleet_compiler.importers.onnx_tensors import refuse_short_tensors
from edgefleet_compiler.importers.onnx_texts import refuse_unreadable_texts
from edgefleet_compiler.passes.empty_values import fold_empty_values
from edgefleet_compiler.passes.names import name_nodes
from edgefleet_contract.errors import ModelMalformed, OperatorUnsupported

OLDEST_OPSET = 7
"""Before it, broadcasting was an attribute, and BatchNormalization computed something else by default."""


def import_onnx(data: bytes, *, folder: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> ir.Model:
    """The raw hub of an ONNX model.

    Args:
        data: The whole file.
        folder: Where it lies; external data is read from this folder and nowhere else.
        input_shapes: Shapes of inputs whose dimensions the model leaves open. A batch left open becomes 1.

    Returns:
        Opset 21; every value has a type and a static shape; nodes have unique names.

    Raises:
        ModelMalformed: The file is no ONNX model, is truncated or contradicts itself, or has weights that are NaN.
        UsageMalformed: An input has dimensions left open, or ``input_shapes`` names what is not there.
        OperatorUnsupported: Operators, element types or opsets that the compiler does not take; all nodes are named.
    """
    proto = _parse(data)
    leave_sizes_open(proto.graph)
    _check_opset(proto)
    load_external_data(proto, folder)
    _check(proto)
    proto = expand_functions(inline_local_functions(proto))
    _drop_default_inputs(proto.graph)
    _check_outputs(proto.graph)
    unfold_quantised(proto)
    refuse_unsupported(proto.graph)
    put_time_first(proto)
    old_resizes = OldResizes.of(proto)
    proto = convert_to_hub_opset(proto)
    old_resizes.write_out(proto)
    proto = expand_functions(proto)  # again, since some operators got their definition late
    fix_input_shapes(proto.graph, input_shapes)
    model = infer_static_shapes(proto)
    name_nodes(model)
    fold_empty_values(model)
    normalise_pairs(model)
    refuse_left_over(model.graph)
    refuse_non_finite(model.graph)
    _check_loads(model)
    return model


def _parse(data: bytes) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as cause:
        raise ModelMalformed(
            "The file is no ONNX model, or is truncated: it does not decode as protobuf",
            expected="a serialised onnx.ModelProto",
            remedy="Fetch or export the model again.",
        ) from cause
    refuse_unreadable_texts(proto)
    if not proto.graph.node or not proto.graph.output:
        raise ModelMalformed(
            f"The file has a graph of {len(proto.graph.node)} nodes and {len(proto.graph.output)} outputs",
            expected="an ONNX model with at least one of each",
        )
    return proto


def _check_opset(proto: onnx.ModelProto) -> None:
    newest = onnx.defs.onnx_opset_version()
    versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions:
        raise ModelMalformed("The model names no opset of ONNX's own operators", expected="an opset_import of ai.onnx")
    if not OLDEST_OPSET <= versions[0] <= newest:
        raise OperatorUnsupported(
            f"The model uses opset {versions[0]}",
            expected=f"opset {OLDEST_OPSET} to {newest}",
            remedy=f"Export it again with opset {OPSET}.",
            opset=versions[0],
        )


def _check(proto: onnx.ModelProto) -> None:
    # The checker wants a shape for every input and output, which exporters leave out where they know none.
    types = [value.type.tensor_type for value in (*proto.graph.input, *proto.graph.output)]
    shapeless = [tensor_type for tensor_type in types if not tensor_type.HasField("shape")]
    for tensor_type in shapeless:
        tensor_type.shape.SetInParent()
    refuse_short_tensors(proto.graph)
    try:
        onnx.checker.check_model(proto)
    except ONNX_FAULTS as cause:
        raise ModelMalformed(f"The model is no valid ONNX: {told_by(cause)}") from cause
    for tensor_type in shapeless:
        tensor_type.ClearField("shape")


def _drop_default_inputs(graph: onnx.GraphProto) -> None:
    """Take initializers out of the inputs: IR versions before 4 list each there, later ones as overridable defaults."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)


def _check_outputs(graph: onnx.GraphProto) -> None:
    """Refuse outputs that no artifact could give under a name of their own, though ONNX allows them."""
    inputs, seen = {value.name for value in graph.input}, set()
    for name in (value.name for value in graph.output):
        if name in seen or name in inputs:
            raise ModelMalformed(
                f"The output {name!r} is {'listed twice' if name in seen else 'an input as well'}",
                expected="outputs that are each computed once, under a name of their own",
                remedy="Leave it out of the outputs, or give it another name with an Identity.",
                output=name,
            )
        seen.add(name)


def _check_loads(model: ir.Model) -> None:
    try:
        Session(model, optimise=False)
    except Exception as cause:
        raise ModelMalformed(f"onnxruntime cannot load the model: {told_by(cause)}") from cause
