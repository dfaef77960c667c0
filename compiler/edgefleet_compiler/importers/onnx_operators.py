"""Which nodes of an ONNX model the compiler cannot take: all are told at once, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from edgefleet_compiler.hub.dequantised import stored
from edgefleet_compiler.hub.graph import OPSET, constant, integer, integers, is_float, shape_of
from edgefleet_compiler.hub.operators import AT_RUN_TIME, CONTROL_FLOW, PARAMETERS, QUANTISED, SUPPORTED
from edgefleet_compiler.passes.no_ops import is_training
from edgefleet_compiler.passes.resizes import rounds_sizes
from edgefleet_compiler.refusal import Refusal, counted, unsupported
from edgefleet_contract.errors import OperatorUnsupported

_ELEMENT_TYPES = frozenset({
    ir.DataType.FLOAT, ir.DataType.INT32, ir.DataType.INT64, ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.BOOL,
})  # fmt: skip
_PAIR_SCALES = frozenset({ir.DataType.FLOAT})
_PAIR_INTEGERS = frozenset({
    ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16, ir.DataType.INT32,
})  # fmt: skip


@dataclass(frozen=True)
class Cure:
    """What would do instead of a refused node, and how to get it."""

    expected: str
    remedy: str


_OTHER_OPERATORS = Cure(f"operators among {', '.join(sorted(SUPPORTED))}", "Replace these layers in the source model.")
_OTHER_TYPES = Cure("elements of float32, or small integers beside them", "Export the model as float32.")
_PLAIN_INTEGERS = Cure(
    "int8 or int16 activations with one scale each, and int8 weights", "Quantise the model again in one of these forms."
)
_STORED = (np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32))
_CONSTANTS = Cure("weights, axes, pads and bounds that are constants", "Export the model with these values inside it.")
_INFERENCE = Cure("dropouts outside training", "Export the model for inference.")
_OTHER_PAIRS = Cure("scales of float32, and integers of 8 or 16 bits", "Quantise the model again.")
_SOMETHING = Cure("results of at least one element", "Leave out what gives none.")
_OTHER_POOLS = Cure("pools whose windows all begin inside their input", "Export these pools without ceil_mode.")

_OTHER_SIZES = Cure("resizes to whole numbers of elements", "Export these resizes with sizes instead of scales.")


@dataclass(frozen=True)
class _Refusal(Refusal):
    """A refusal with what would cure it."""

    cure: Cure = _OTHER_OPERATORS


def refuse_unsupported(graph: onnx.GraphProto) -> None:
    """Refuse operators by their kind, and inputs and outputs by their type, before anything is converted.

    Nodes that only compute constants, shapes of values included, may be of any kind: they are folded.

    Raises:
        OperatorUnsupported: There are such operators.
    """
    if graph.sparse_initializer:
        names = [tensor.values.name for tensor in graph.sparse_initializer]
        raise OperatorUnsupported(
            f"The model has sparse constants: {', '.join(names)}", expected="dense ones", constants=names
        )
    refusals = [_Refusal(_name(node), _kind(node), reason) for node in _at_run_time(graph) if (reason := _reason(node))]
    refusals += [*_refused_types(graph), *_refused_pairs(graph)]
    _refuse(refusals)


def refuse_left_over(graph: ir.Graph) -> None:
    """Refuse what only shows once shapes are known and constants folded.

    Raises:
        OperatorUnsupported: Nodes whose parameters are no constants, or that compute with other element types.
    """
    refusals: list[_Refusal] = []
    for node in graph:
        refusals += [_Refusal(node.name or "", node.op_type, reason, cure) for reason, cure in _late_reasons(node)]
    _refuse(refusals)


def _refused_types(graph: onnx.GraphProto) -> Iterator[_Refusal]:
    """Inputs and outputs with elements that are not taken; the converter to another opset would fail on some."""
    producers = {name: (_name(node), _kind(node)) for node in graph.node for name in node.output}
    for value in (*graph.input, *graph.output):
        number = value.type.tensor_type.elem_type
        if number and number not in _ELEMENT_TYPES:  # may be none that ONNX knows
            name, kind = producers.get(value.name, (value.name, "input"))
            told = ir.DataType(number) if number in set(ir.DataType) else number
            yield _Refusal(name, kind, f"{value.name!r} has elements of type {told}", _OTHER_TYPES)


def _refused_pairs(graph: onnx.GraphProto) -> Iterator[_Refusal]:
    """Pairs whose scales are no float32, or whose integers have other than 8 or 16 bits."""
    types = {tensor.name: ir.DataType(tensor.data_type) for tensor in graph.initializer}
    for node in (node for node in graph.node if node.op_type in QUANTISED):
        for name, taken in zip(node.input[1:3], (_PAIR_SCALES, _PAIR_INTEGERS), strict=False):
            if name in types and types[name] not in taken:
                yield _Refusal(_name(node), _kind(node), f"{name!r} has elements of type {types[name]}", _OTHER_PAIRS)


def _late_reasons(node: ir.Node) -> Iterator[tuple[str, Cure]]:
    if node.op_type not in SUPPORTED | QUANTISED:
        yield "too large to fold into a constant", _OTHER_OPERATORS
    for index in PARAMETERS.get(node.op_type, ()):
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is not None and stored(value) is None:
            yield f"its input {index} ({value.name!r}) is no constant", _CONSTANTS
    yield from _refused_elements(node)
    yield from _reasons_of_kind(node)


def _reasons_of_kind(node: ir.Node) -> Iterator[tuple[str, Cure]]:
    """Forms of single operators that are not taken."""
    if node.op_type in QUANTISED and (reason := _why_unstorable(node)):
        yield reason, _PLAIN_INTEGERS
    if node.op_type == "Mod" and not integer(node, "fmod", 0) and is_float(node.outputs[0]):
        yield f"a remainder of floats with the divisor's sign, which opset {OPSET} has not", _OTHER_OPERATORS
    if node.op_type == "Dropout" and is_training(node):
        yield "it is in training mode", _INFERENCE
    if node.op_type == "Resize" and rounds_sizes(node):
        yield "its scales do not give whole numbers of elements, which runtimes round in different ways", _OTHER_SIZES
    if node.op_type in ("MaxPool", "AveragePool") and _has_window_in_padding(node):
        yield "rounded up, it has a window that lies in the padding", _OTHER_POOLS


def _why_unstorable(node: ir.Node) -> str:
    """Why integers by this pair's node have no place in the hub; empty if they have."""
    if integer(node, "block_size", 0):
        return "it quantises by blocks"
    scale, kept = constant(node.inputs[1]), constant(node.inputs[0])
    if kept is None:
        return "its activations have a scale per channel" if scale is not None and scale.size > 1 else ""
    return "" if kept.dtype in _STORED else f"it stores {kept.dtype}"


def _is_stored(node: ir.Node, value: ir.Value) -> bool:
    """Whether the value is what a QuantizeLinear stores for a DequantizeLinear."""
    return node.op_type == "QuantizeLinear" and value.dtype == ir.DataType.INT16


def _refused_elements(node: ir.Node) -> Iterator[tuple[str, Cure]]:
    """Elements of types that are not taken, and results that have none."""
    operands = [] if node.op_type in QUANTISED else [value for value in node.inputs if value is not None]
    for value in (*operands, *node.outputs):
        if value.name and value.dtype not in _ELEMENT_TYPES and not _is_stored(node, value):
            yield f"{value.name!r} has elements of type {value.dtype}", _OTHER_TYPES
    for value in node.outputs:
        if value.name and 0 in shape_of(value):
            yield f"{value.name!r} is empty: its shape is {list(shape_of(value))}", _SOMETHING


def _has_window_in_padding(node: ir.Node) -> bool:
    """Whether ONNX counts a window that onnxruntime, and the specification since opset 22, leave out."""
    if not integer(node, "ceil_mode", 0) or node.inputs[0] is None:
        return False
    source, output = shape_of(node.inputs[0])[2:], shape_of(node.outputs[0])[2:]
    strides = integers(node, "strides") or (1,) * len(source)
    begins = integers(node, "pads") or (0,) * len(source)
    return any(
        (count - 1) * stride >= size + begin
        for count, stride, size, begin in zip(output, strides, source, begins, strict=False)
    )


def _at_run_time(graph: onnx.GraphProto) -> Iterable[onnx.NodeProto]:
    """The nodes that depend on the graph's inputs by more than their shapes."""
    variable = {value.name for value in graph.input}
    for node in graph.node:
        carries_graph = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        if carries_graph or (node.op_type not in ("Shape", "Size") and variable.intersection(node.input)):
            variable.update(name for name in node.output if name)
            yield node


def _reason(node: onnx.NodeProto) -> str:
    if node.op_type in AT_RUN_TIME:
        return "its scales are found at run time"
    if node.domain not in ("", "ai.onnx"):
        return f"an operator of the domain {node.domain!r}"
    if node.op_type in CONTROL_FLOW:
        return "control flow"
    return "" if node.op_type in SUPPORTED | QUANTISED else "no such operator in the compiler"


def _refuse(refusals: Sequence[_Refusal]) -> None:
    if not refusals:
        return
    cures = list(dict.fromkeys(refusal.cure for refusal in refusals))
    raise unsupported(
        refusals,
        f"{counted(refusals)} of the model cannot be compiled",
        expected="; ".join(cure.expected for cure in cures),
        remedy=" ".join(cure.remedy for cure in cures),
    )


def _name(node: onnx.NodeProto) -> str:
    return str(node.name or next((name for name in node.output if name), node.op_type))


def _kind(node: onnx.NodeProto) -> str:
    return str(node.op_type) if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
