"""Static shapes: inputs get every dimension, and all other values follow from them."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx_ir as ir

from edgefleet_compiler.hub.graph import has_static_shape
from edgefleet_compiler.importers.input_shapes import check_names, fixed_shape
from edgefleet_compiler.importers.onnx_faults import ONNX_FAULTS, told_by
from edgefleet_compiler.importers.onnx_memory import MOST_BYTES, refuse_bombs
from edgefleet_compiler.passes.constants import constants_to_initializers
from edgefleet_compiler.passes.fold_constants import fold_constants
from edgefleet_compiler.refusal import Refusal, unsupported
from edgefleet_contract.errors import ModelMalformed

MOST_ROUNDS = 64
"""Shapes make constants foldable, which make more shapes known; exporters need two or three rounds, and one more for
each GroupNormalization."""


def leave_sizes_open(graph: onnx.GraphProto) -> None:
    """Leave sizes open that are none: some exporters write an open one as 0 or -1, and on others ``onnx`` aborts.

    Raises:
        ModelMalformed: A size is beyond any memory; ``onnx`` would compute with it all the same.
    """
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.HasField("dim_value") and dimension.dim_value <= 0:
                dimension.ClearField("dim_value")
            if dimension.dim_value > MOST_BYTES:
                raise ModelMalformed(
                    f"The value {value.name!r} has a dimension of {dimension.dim_value}",
                    expected=f"at most {MOST_BYTES}",
                )


def fix_input_shapes(graph: onnx.GraphProto, input_shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Write the given shapes into the inputs; an open first dimension, the batch, becomes 1.

    Raises:
        UsageMalformed: A dimension stays open, or a given shape has no input or does not fit it.
        ModelMalformed: An input is no tensor.
    """
    check_names(input_shapes, [value.name for value in graph.input])
    for value in graph.input:
        if value.type.WhichOneof("value") != "tensor_type":
            raise ModelMalformed(f"The input {value.name!r} is no tensor")
        tensor_type = value.type.tensor_type
        open_shape = _open_shape(tensor_type) if tensor_type.HasField("shape") else None
        shape = fixed_shape(value.name, open_shape, input_shapes.get(value.name))
        tensor_type.shape.CopyFrom(onnx.helper.make_tensor_type_proto(tensor_type.elem_type, shape).tensor_type.shape)
    # Shapes noted for other values may name dimensions that are no more open.
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")


def infer_static_shapes(proto: onnx.ModelProto) -> ir.Model:
    """The model with a static shape for every value; what the shapes make constant is folded on the way.

    Raises:
        ModelMalformed: Shapes contradict each other, or values take too much memory.
        OperatorUnsupported: Shapes that depend on the data.
    """
    for _ in range(MOST_ROUNDS):
        try:
            model = ir.from_proto(_inferred(proto))
        except ONNX_FAULTS as cause:
            raise ModelMalformed(f"The model's shapes contradict each other: {told_by(cause)}") from cause
        refuse_bombs(model.graph)
        added = _keep_shapes(model.graph)
        constants_to_initializers(model)
        folded = fold_constants(model)
        open_nodes = [node for node in model.graph if not all(_is_known(value) for value in node.outputs)]
        if not open_nodes:
            return model
        if not folded and not added:
            break
        proto = ir.to_proto(model)
    raise unsupported(
        [Refusal(_told(node), node.op_type, "its shape depends on the data") for node in open_nodes],
        "Shapes are not known before the model runs",
        expected="shapes that follow from the shapes of the inputs",
        remedy="Export the model with fixed sizes.",
    )


def _told(node: ir.Node) -> str:
    return node.name or next((value.name for value in node.outputs if value.name), node.op_type)


def _keep_shapes(graph: ir.Graph) -> int:
    """Shapes that ``onnx`` does not infer: of GroupNormalization, which has a definition and no inference.

    Returns:
        How many became known.
    """
    added = 0
    for node in graph:
        source, output = (node.inputs[0], node.outputs[0]) if node.op_type == "GroupNormalization" else (None, None)
        if source is not None and output is not None and _is_known(source) and not _is_known(output):
            output.shape, output.type = source.shape, source.type
            added += 1
    return added


def _inferred(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the shapes that can be inferred, by the values of shapes if the inference can follow them."""
    try:
        return onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError:
        return onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)


def _open_shape(tensor_type: onnx.TypeProto.Tensor) -> list[int | None]:
    """The dimensions as far as they are known. Some exporters write an open one as 0 or -1."""
    return [dimension.dim_value if dimension.dim_value > 0 else None for dimension in tensor_type.shape.dim]


def _is_known(value: ir.Value) -> bool:
    return not value.name or (has_static_shape(value) and value.dtype is not None)
