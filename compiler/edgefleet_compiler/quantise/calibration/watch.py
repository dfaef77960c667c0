"""A hub that says of its activations, as it runs, what calibration wants to know."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import activations, name_of, rank_of, shape_of

ELEMENTS = 2**13
"""Elements of an activation that go into its histogram from one case; of more, as many evenly spread ones."""

_STATISTICS = {"ReduceMin": "lows", "ReduceMax": "highs", "ReduceSumSquare": "squares"}


@dataclass(frozen=True)
class Watch:
    """A copy of a hub with statistics of activations among its outputs.

    Attributes:
        model: The copy.
        names: The activations, in the order of the graph.
        starts: Where the channels of each activation begin among those of all, shape (activations,).
        sizes: How many elements each channel has, shape (channels of all,).
        lows: The output with the minimum of every channel of every activation, shape (channels of all,).
        highs: The output with the maxima.
        squares: The output with the sums of the squares. They tell NaN, which onnxruntime's minimum and maximum may
            pass over.
        elements: For each activation the output with its elements, flat; empty where they were not asked for.
    """

    model: ir.Model
    names: list[str]
    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]
    lows: str
    highs: str
    squares: str
    elements: list[str]


def watch(model: ir.Model, names: set[str], *, elements: bool) -> Watch:
    """Let a copy of a hub reduce activations where they are made, so that none outlives its last use.

    Args:
        model: In hub normal form; it is not changed.
        names: Of the activations; at least one.
        elements: Whether elements are wanted, too.
    """
    copy = model.clone()
    editor = Editor(copy.graph)
    watched = [value for value in activations(copy.graph) if value.name in names]
    channels = [channels_of(value) for value in watched]
    statistics = {
        statistic: _joined(editor, [_reduced(editor, operator, value) for value in watched], sum(channels), statistic)
        for operator, statistic in _STATISTICS.items()
    }
    flat = [_elements(editor, value) for value in watched] if elements else []
    copy.graph.outputs.extend([*statistics.values(), *flat])
    starts = np.cumsum([0, *channels[:-1]], dtype=np.intp)
    elements_each = [math.prod(shape_of(value)) // count for value, count in zip(watched, channels, strict=True)]
    sizes = np.repeat(elements_each, channels)
    outputs = {statistic: name_of(value) for statistic, value in statistics.items()}
    return Watch(
        copy,
        [name_of(value) for value in watched],
        starts,
        sizes,
        **outputs,
        elements=[name_of(value) for value in flat],
    )


def channels_of(value: ir.Value) -> int:
    """How many channels an activation has: of values with a channel axis, its extent; of others, 1."""
    axis = channel_axis(value)
    return 1 if axis is None else shape_of(value)[axis]


def channel_axis(value: ir.Value) -> int | None:
    """Where the channels are: second of images, as hubs have them, last of vectors; None for what has no batch."""
    rank = rank_of(value)
    if rank < 2:
        return None
    return 1 if rank > 3 else rank - 1


def _reduced(editor: Editor, operator: str, value: ir.Value) -> ir.Value:
    """A statistic of each channel, shape (channels,)."""
    axis, name = channel_axis(value), f"{value.name}/{operator}"
    others = [other for other in range(rank_of(value)) if other != axis]
    axes = editor.constant(np.array(others, np.int64), f"{name}/axes")
    shape = () if axis is None else (shape_of(value)[axis],)
    reduced = editor.node(
        operator, [value, axes], name=name, shape=shape, attributes={"keepdims": 0}, after=value.producer()
    )
    return reduced if axis is not None else _flat(editor, reduced, 1)


def _joined(editor: Editor, values: list[ir.Value], size: int, name: str) -> ir.Value:
    return editor.node("Concat", values, name=f"calibration/{name}", shape=(size,), attributes={"axis": 0})


def _flat(editor: Editor, value: ir.Value, size: int) -> ir.Value:
    shape = editor.constant(np.array([-1], np.int64), f"{value.name}/shape")
    return editor.node("Reshape", [value, shape], name=f"{value.name}/flat", shape=(size,), after=value.producer())


def _elements(editor: Editor, value: ir.Value) -> ir.Value:
    size = math.prod(shape_of(value))
    flat = _flat(editor, value, size)
    if size <= ELEMENTS:
        return flat
    step = _even_step(shape_of(value))
    numbers = [
        editor.constant(np.array([number], np.int64), f"{value.name}/{what}")
        for what, number in (("first", 0), ("end", size), ("axis", 0), ("step", step))
    ]
    kept = -(-size // step)
    return editor.node("Slice", [flat, *numbers], name=f"{value.name}/some", shape=(kept,), after=flat.producer())


def _even_step(shape: tuple[int, ...]) -> int:
    """The least step that leaves few enough elements, and visits all places of every axis alike."""
    step = -(-math.prod(shape) // ELEMENTS)
    while any(math.gcd(step, extent) > 1 for extent in shape):
        step += 1
    return step
