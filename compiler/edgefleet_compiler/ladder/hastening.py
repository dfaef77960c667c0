"""Mixed precision for speed: the layers that lose time in int8 are left in float, where the conversions are worth it.

An integer programme: each layer takes the time that was measured of it in int8 or in float, and each activation
between layers of different kinds is converted, which takes time by its size. Least is the sum. Both runtimes for x86-64
have layers so: onnxruntime's convolutions of images with few channels, and depthwise ones.

Source: HAWQ-V3, Yao et al. 2021, arXiv:2011.10680, section 3.4, whose programme has no conversions: there every layer
computes in integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir
from msgspec.structs import replace

from edgefleet_compiler.benchmark.layer_times import Times
from edgefleet_compiler.hub.graph import activation_inputs, is_float, shape_of
from edgefleet_compiler.quantise.operators import is_quantisable
from edgefleet_compiler.quantise.search.programme import least_choice
from edgefleet_compiler.quantise.settings import LayerSettings, Settings

_IN_FLOAT = LayerSettings(compute="float", weights="int8")  # weights cost a runtime nothing: it unpacks them at start
_CALL = 1.0  # microseconds that a conversion takes besides those by its size


def hastened(hub: ir.Model, settings: Settings, times: Times) -> Settings | None:
    """Settings with which those layers stay in float that make the whole slower in int8.

    Args:
        hub: The float hub.
        settings: How it is quantised.
        times: Of its layers in int8, with inputs and outputs in float, and in float.

    Returns:
        None where that leaves every layer in one of both.
    """
    layers = [node for node in hub.graph if node.name in times and is_quantisable(node)]
    chosen = _fastest(layers, times, list(_borders(hub, layers, times)))
    if not 0 < len(chosen) < len(layers):
        return None
    return replace(settings, layers={**settings.layers, **dict.fromkeys(chosen, _IN_FLOAT)})


@dataclass(frozen=True)
class _Border:
    """An activation on its way between layers; None for what computes in float whatever is chosen.

    Attributes:
        writer: Who gives it.
        reader: Who takes it.
        microseconds: For its conversion, where only one of both computes in float.
    """

    writer: str | None
    reader: str | None
    microseconds: float


def _borders(hub: ir.Model, layers: list[ir.Node], times: Times) -> Iterator[_Border]:
    chosen = {node: node.name or "" for node in layers}
    border = [value for value in (*hub.graph.inputs, *hub.graph.outputs) if is_float(value)]
    conversions = times[None].artifact if None in times else 0.0
    each = conversions / max(sum(prod(shape_of(value)) for value in border), 1)

    def cost(value: ir.Value) -> float:
        return _CALL + each * prod(shape_of(value))

    for node in layers:
        for value in activation_inputs(node):
            for writer in _writers(value, chosen):
                yield _Border(writer, chosen[node], cost(value))
    for value in hub.graph.outputs:
        for writer in _writers(value, chosen):
            yield _Border(writer, None, cost(value))


def _writers(value: ir.Value, chosen: Mapping[ir.Node, str]) -> Iterator[str | None]:
    """The layers that a value comes from, be it through nodes that have no time of their own."""
    waiting, seen = [value], {value}
    while waiting:
        producer = waiting.pop().producer()
        if producer is None or not is_quantisable(producer):
            yield None
        elif producer in chosen:
            yield chosen[producer]
        else:
            found = [source for source in activation_inputs(producer) if source not in seen]
            seen.update(found)
            waiting += found


def _fastest(layers: list[ir.Node], times: Times, borders: list[_Border]) -> list[str]:
    """The layers to leave in float: one binary variable for each, and one for each conversion."""
    from scipy.optimize import LinearConstraint  # noqa: PLC0415 - heavy, and few recipes need it

    names = [node.name or "" for node in layers]
    if not names:
        return []
    index = {name: place for place, name in enumerate(names)}
    won = [times[name].baseline - times[name].artifact for name in names]
    rows, least = [], []
    for place, border in enumerate(borders):
        for sign in (1, -1):  # the conversion is at least what the two differ by, either way
            row = np.zeros(len(names) + len(borders))
            row[len(names) + place], constant = 1, 0
            for name, factor in ((border.writer, -sign), (border.reader, sign)):
                if name is None:
                    constant += factor
                else:
                    row[index[name]] += factor
            rows.append(row)
            least.append(-constant)
    goal = np.array([*won, *(border.microseconds for border in borders)])
    constraints = [LinearConstraint(np.stack(rows), np.array(least), np.inf)] if rows else []
    chosen = least_choice(goal, constraints)
    return [] if chosen is None else [name for name, taken in zip(names, chosen, strict=False) if taken]
