"""QOperator nodes as what they stand for: DequantizeLinear, the operator on reals, QuantizeLinear.

Source: ONNX operator specification (QLinearConv, QLinearMatMul) and onnxruntime's contrib operators. Each takes its
data as integers with scale and zero point beside them, and gives integers by a scale and a zero point that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edgefleet_contract.errors import ModelMalformed

MICROSOFT: Final = "com.microsoft"

Constants = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Parameters:
    """Names of the scale and the zero point of a value; the zero point is empty where it is left out."""

    scale: str
    zero_point: str


@dataclass(frozen=True)
class Operand:
    """A quantised operand: its name, its parameters, and the axis of the channels if those have their own."""

    name: str
    parameters: Parameters
    axis: int = 0


@dataclass(frozen=True)
class Unfolded:
    """What a QOperator node stands for.

    Attributes:
        operator: The operator on reals.
        operands: Its operands, quantised.
        result: How the result is stored; None where it is real.
        attributes: Of the operator.
        bias: An int32 operand whose scale is the product of two others'; None without one.
        bias_factor: What that product is multiplied by.
    """

    operator: str
    operands: list[Operand]
    result: Parameters | None
    attributes: list[onnx.AttributeProto]
    bias: str | None = None
    bias_factor: float = 1.0


def unfold(node: onnx.NodeProto) -> Unfolded | None:
    """What a node stands for; None for those that are no QOperator, or one that this does not know."""
    shape = _KNOWN.get((node.domain if node.domain != "ai.onnx" else "", node.op_type))
    if shape is None:
        return None
    try:
        return shape(node)
    except IndexError:
        raise ModelMalformed(
            f"The node {node.name or node.output[0]!r} ({node.op_type}) has {len(node.input)} inputs",
            expected="a scale and a zero point to each operand and to the result",
        ) from None


def bias_scale(unfolded: Unfolded, constants: Constants) -> NDArray[np.float32] | None:
    """The scale of the bias: that of the input times that of the weights; None where they are no constants."""
    scales = [constants.get(operand.parameters.scale) for operand in unfolded.operands[:2]]
    if scales[0] is None or scales[1] is None:
        return None
    product = scales[0].astype(np.float64) * scales[1].astype(np.float64) * unfolded.bias_factor
    return np.asarray(product, np.float32)


def _conv(node: onnx.NodeProto) -> Unfolded:
    operands = [_operand(node, 0), _operand(node, 3, axis=0)]
    bias = node.input[8] if len(node.input) > 8 and node.input[8] else None
    return Unfolded("Conv", operands, _parameters(node, 6), list(node.attribute), bias)


def _matmul(node: onnx.NodeProto) -> Unfolded:
    return Unfolded("MatMul", [_operand(node, 0), _operand(node, 3, axis=1)], _parameters(node, 6), [])


def _gemm(node: onnx.NodeProto) -> Unfolded:
    transposed = next((attribute.i for attribute in node.attribute if attribute.name == "transB"), 0)
    alpha = next((attribute.f for attribute in node.attribute if attribute.name == "alpha"), 1.0)
    bias = node.input[6] if len(node.input) > 6 and node.input[6] else None
    result = _parameters(node, 7) if len(node.input) > 7 and node.input[7] else None
    operands = [_operand(node, 0), _operand(node, 3, axis=0 if transposed else 1)]
    return Unfolded("Gemm", operands, result, list(node.attribute), bias, float(alpha))


def _binary(operator: str) -> Callable[[onnx.NodeProto], Unfolded]:
    return lambda node: Unfolded(operator, [_operand(node, 0), _operand(node, 3)], _parameters(node, 6), [])


def _unary(operator: str) -> Callable[[onnx.NodeProto], Unfolded | None]:
    def unfolded(node: onnx.NodeProto) -> Unfolded | None:
        if any(attribute.name == "channels_last" and attribute.i for attribute in node.attribute):
            return None
        attributes = [attribute for attribute in node.attribute if attribute.name not in ("channels_last", "opset")]
        return Unfolded(operator, [_operand(node, 0)], _parameters(node, 3), attributes)

    return unfolded


def _softmax(node: onnx.NodeProto) -> Unfolded | None:
    """Since opset 13; before, it flattened what it took."""
    modern = any(attribute.name == "opset" and attribute.i >= 13 for attribute in node.attribute)
    return _unary("Softmax")(node) if modern else None


def _concat(node: onnx.NodeProto) -> Unfolded:
    operands = [_operand(node, index) for index in range(2, len(node.input), 3)]
    return Unfolded("Concat", operands, _parameters(node, 0), list(node.attribute))


def _operand(node: onnx.NodeProto, index: int, axis: int = 0) -> Operand:
    return Operand(node.input[index], _parameters(node, index + 1), axis)


def _parameters(node: onnx.NodeProto, index: int) -> Parameters:
    return Parameters(node.input[index], node.input[index + 1] if len(node.input) > index + 1 else "")


_KNOWN: Final[dict[tuple[str, str], Callable[[onnx.NodeProto], Unfolded | None]]] = {
    ("", "QLinearConv"): _conv,
    ("", "QLinearMatMul"): _matmul,
    (MICROSOFT, "QGemm"): _gemm,
    (MICROSOFT, "QLinearAdd"): _binary("Add"),
    (MICROSOFT, "QLinearMul"): _binary("Mul"),
    (MICROSOFT, "QLinearAveragePool"): _unary("AveragePool"),
    (MICROSOFT, "QLinearConcat"): _concat,
    (MICROSOFT, "QLinearGlobalAveragePool"): _unary("GlobalAveragePool"),
    (MICROSOFT, "QLinearLeakyRelu"): _unary("LeakyRelu"),
    (MICROSOFT, "QLinearSigmoid"): _unary("Sigmoid"),
    (MICROSOFT, "QLinearSoftmax"): _softmax,
}


def quantised_operands(node: onnx.NodeProto) -> Iterator[Operand]:
    """The operands of a node whose parameters it names: those of DequantizeLinear and of QOperator nodes."""
    if node.op_type == "DequantizeLinear":
        yield _operand(node, 0)
    elif (unfolded := unfold(node)) is not None:
        yield from unfolded.operands


def pair_node(
    operator: str, value: str, parameters: Parameters, output: str, *, axis: int | None = None
) -> onnx.NodeProto:
    """A QuantizeLinear or DequantizeLinear."""
    inputs = [value, parameters.scale, *([parameters.zero_point] if parameters.zero_point else [])]
    node = helper.make_node(operator, inputs, [output], name=output)
    if axis is not None:
        node.attribute.append(helper.make_attribute("axis", axis))
    return node
