"""Which element type a runtime really computes an operator with, by scheme: found by loading, not believed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import onnx
import onnx_ir as ir
import onnxruntime

from edgefleet_compiler.checks.deployment import inspect_tflite
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.graph import OPSET
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator
from edgefleet_compiler.quantise.parameters import IntegerType
from edgefleet_hardware.runtime_limits import limits_of
from support.integer_layers import LAYERS, net_of, quantised_net

SCHEMES: Final[dict[str, IntegerType]] = {"int8": "int8", "int16x8": "int16"}
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE", "RESHAPE", "TRANSPOSE"})
_FLOAT = "float32"
_PAIR = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class Executed:
    """What a layer of ``integer_layers`` is computed with.

    Attributes:
        layer: Its name there.
        scheme: Of the recipe.
        litert: The type in LiteRT's kernels.
        xnnpack: Whether LiteRT hands it to XNNPACK.
        micro: The type in TFLite Micro's kernels, or what that lacks.
        onnxruntime: The type in onnxruntime, its optimiser having run.
    """

    layer: str
    scheme: str
    litert: str
    xnnpack: bool
    micro: str
    onnxruntime: str


@cache
def executed_types() -> tuple[Executed, ...]:
    """All layers, by each scheme."""
    return tuple(executed_type(layer, scheme) for layer in LAYERS for scheme in SCHEMES)


def executed_rows() -> Iterator[str]:
    """A table: a line for each layer, a group of columns for each scheme."""
    columns = [f"{scheme} in {runtime}" for scheme in SCHEMES for runtime in ("LiteRT", "TFLite Micro", "onnxruntime")]
    yield f"| layer | {' | '.join(columns)} |"
    yield f"|---|{'---|' * len(columns)}"
    for layer in LAYERS:
        found = [each for each in executed_types() if each.layer == layer]
        cells = [cell for each in found for cell in (_litert(each), each.micro, each.onnxruntime)]
        yield f"| {layer} | {' | '.join(cells)} |"


def _litert(executed: Executed) -> str:
    return f"{executed.litert}, XNNPACK" if executed.xnnpack else executed.litert


def executed_type(layer: str, scheme: str) -> Executed:
    """Quantise a net around a layer, and see what becomes of it."""
    model = net_of(layer)
    subject = _subject(model, layer.split(maxsplit=1)[0])
    hub = quantised_net(model, SCHEMES[scheme])
    data, graph = export_tflite(hub, io="float", io_layout="source")
    operators = [each for each in graph.operators if each.source == subject.name]
    computing = [each for each in operators if each.kind not in _CONVERSIONS] or operators
    left = inspect_tflite(data, [each.source for each in graph.operators], "litert").left
    optimised = _optimised(export_onnx(hub, max_opset=OPSET, io="float", io_layout="source"))
    return Executed(
        layer,
        scheme,
        litert=_joined(_type_of(each, graph) for each in computing),
        xnnpack=not any(f"{subject.name} ({each.kind})" in left for each in computing),
        micro=_micro(computing, graph),
        onnxruntime=_FLOAT if _is_in_float(optimised, subject.op_type) else SCHEMES[scheme],
    )


def _subject(model: ir.Model, operator: str) -> ir.Node:
    """The node of the layer under test; of a layer that the normal form writes otherwise, its last."""
    inner = list(model.graph)[1:-1]
    named = [node for node in inner if node.op_type == operator]
    return (named or [node for node in inner if node.op_type != "Transpose"])[-1]


def _type_of(operator: Operator, graph: LoweredGraph) -> str:
    names = [name for name in operator.inputs if name is not None and not graph.tensors[name].is_constant]
    return str(graph.tensors[names[0]].dtype)


def _joined(types: Iterator[str]) -> str:
    return " and ".join(dict.fromkeys(types)) or "nothing is left to do"


def _micro(operators: Sequence[Operator], graph: LoweredGraph) -> str:
    limits = limits_of("tflite-micro").operators
    for operator in operators:
        if operator.kind not in limits:
            return f"lacks {operator.kind}"
        dtypes = limits[operator.kind].dtypes
        if dtypes is not None and _type_of(operator, graph) not in dtypes:
            return f"lacks {operator.kind} in {_type_of(operator, graph)}"
    return _joined(_type_of(operator, graph) for operator in operators)


def _optimised(data: bytes) -> onnx.GraphProto:
    """The graph that onnxruntime executes."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath).graph


def _is_in_float(graph: onnx.GraphProto, operator: str) -> bool:
    """Whether a node of the operator, alone, fused or written out, reads reals."""
    producers = {name: node for node in graph.node for name in node.output}
    inner = [node for node in graph.node if node.op_type not in _PAIR and node.input[0] in producers]
    kinds = {node.op_type.removeprefix("Fused") for node in inner}
    judged = {operator} if operator in kinds else kinds - {"Conv"}
    return any(
        node.op_type.removeprefix("Fused") in judged and not _gives_integers(producers[node.input[0]], producers)
        for node in inner
        if not node.op_type.startswith("QLinear")
    )


def _gives_integers(node: onnx.NodeProto, producers: dict[str, onnx.NodeProto]) -> bool:
    if node.op_type.startswith(("Quantize", "QLinear")):
        return True
    before = producers.get(node.input[0])
    return node.op_type != "DequantizeLinear" and before is not None and _gives_integers(before, producers)
