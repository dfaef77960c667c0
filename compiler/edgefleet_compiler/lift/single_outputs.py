"""Operators with several outputs as operators with one: SPLIT and SPLIT_V as SLICE, UNPACK as STRIDED_SLICE.

Lifters then see operators with one output only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final

import numpy as np

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_compiler.tflite.options import attribute
from edgefleet_contract.errors import ModelMalformed


def with_single_outputs(graph: LoweredGraph) -> LoweredGraph:
    """The same computation, each operator with one output.

    Args:
        graph: Left as it is; tensors are shared with the result.

    Raises:
        ModelMalformed: One does not make its outputs of its input, or says only at run time how.
    """
    result = LoweredGraph(dict(graph.tensors), [], list(graph.inputs), list(graph.outputs), dict(graph.stored_axes))
    for operator in graph.operators:
        divide = DIVISIONS.get(operator.kind)
        result.operators += [operator] if divide is None else _divided(operator, divide(operator, result))
    return result


def _divided(operator: Operator, parts: list[Operator] | None) -> list[Operator]:
    if parts is None:
        raise ModelMalformed(
            f"{operator.kind} {operator.outputs[0]!r} does not divide its input into {len(operator.outputs)} parts",
            expected="an axis and sizes that are constant and that fit the input",
        )
    return parts


def _split(operator: Operator, graph: LoweredGraph) -> list[Operator] | None:
    """SPLIT of its second input along the axis in its first, into equal parts."""
    source, axis = _operand(operator, graph, 1), _axis(operator, graph, 0, 1)
    count = len(operator.outputs)
    if source is None or axis is None or source.shape[axis] % count:
        return None
    return _slices(operator, graph, source, axis, [source.shape[axis] // count] * count)


def _split_v(operator: Operator, graph: LoweredGraph) -> list[Operator] | None:
    """SPLIT_V of its first input along the axis in its third, into parts of the sizes in its second."""
    source, axis, sizes = _operand(operator, graph, 0), _axis(operator, graph, 2, 0), _operand(operator, graph, 1)
    if source is None or axis is None or sizes is None or sizes.data is None:
        return None
    extents = [int(size) for size in sizes.data.ravel()]
    if extents.count(-1) == 1:
        extents[extents.index(-1)] = source.shape[axis] - sum(extents) - 1
    if len(extents) != len(operator.outputs) or sum(extents) != source.shape[axis] or min(extents, default=0) < 1:
        return None
    return _slices(operator, graph, source, axis, extents)


def _unpack(operator: Operator, graph: LoweredGraph) -> list[Operator] | None:
    """UNPACK of its input: one output for each element along an axis, which is dropped."""
    source, axis = _operand(operator, graph, 0), int(attribute(operator, "axis"))
    if source is None or not -len(source.shape) <= axis < len(source.shape):
        return None
    axis %= len(source.shape)
    if source.shape[axis] != len(operator.outputs):
        return None
    return list(_elements(operator, graph, source, axis))


DIVISIONS: Final[dict[str, Callable[[Operator, LoweredGraph], list[Operator] | None]]] = {
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "UNPACK": _unpack,
}
"""How each such operator is written as several; None where it contradicts itself."""


def _slices(
    operator: Operator, graph: LoweredGraph, source: Tensor, axis: int, extents: Sequence[int]
) -> list[Operator]:
    starts = accumulate(extents, initial=0)
    parts = []
    for name, start, extent in zip(operator.outputs, starts, extents, strict=False):
        begin = [start if other == axis else 0 for other in range(len(source.shape))]
        size = [extent if other == axis else whole for other, whole in enumerate(source.shape)]
        settings = [_setting(graph, f"{name}/begin", begin), _setting(graph, f"{name}/size", size)]
        parts.append(Operator("SLICE", [source.name, *settings], [name], {}, operator.source))
    return parts


def _elements(operator: Operator, graph: LoweredGraph, source: Tensor, axis: int) -> Iterator[Operator]:
    strides = _setting(graph, f"{operator.outputs[0]}/strides", [1] * len(source.shape))
    for index, name in enumerate(operator.outputs):
        begin = [index if other == axis else 0 for other in range(len(source.shape))]
        end = [index + 1 if other == axis else whole for other, whole in enumerate(source.shape)]
        settings = [_setting(graph, f"{name}/begin", begin), _setting(graph, f"{name}/end", end), strides]
        attributes = {"shrink_axis_mask": 1 << axis}
        yield Operator("STRIDED_SLICE", [source.name, *settings], [name], dict(attributes), operator.source)


def _operand(operator: Operator, graph: LoweredGraph, position: int) -> Tensor | None:
    name = operator.inputs[position] if position < len(operator.inputs) else None
    return None if name is None else graph.tensors[name]


def _axis(operator: Operator, graph: LoweredGraph, position: int, source: int) -> int | None:
    """The axis in a constant operand, counted from the front; None if there is no such one."""
    given, divided = _operand(operator, graph, position), _operand(operator, graph, source)
    if given is None or given.data is None or given.data.size != 1 or divided is None:
        return None
    axis, rank = int(given.data.reshape(-1)[0]), len(divided.shape)
    return axis % rank if -rank <= axis < rank else None


def _setting(graph: LoweredGraph, name: str, values: Sequence[int]) -> str:
    data = np.array(values, dtype=np.int32)
    return graph.add_tensor(Tensor(graph.fresh_name(name), data.shape, data.dtype, data=data))
