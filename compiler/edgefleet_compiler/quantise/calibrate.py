"""Calibration: the range of each activation over typical inputs.

Source: min-max calibration, Jacob et al. 2018, section 3, without its moving average, which clips: on the same model
28 against 44 dB. Samples stream through; memory does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import activations, name_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.quantise.placement import place
from edgefleet_contract.errors import DataMalformed


@dataclass(frozen=True)
class Range:
    """The smallest and the largest value that an activation took, zero included."""

    low: float
    high: float


Ranges = Mapping[str, Range]
"""Ranges by the name of the value in the float hub."""

Sample = Mapping[str, NDArray[Any]]


def calibrate(model: ir.Model, samples: Iterable[Sample], on_sample: Callable[[int], None]) -> dict[str, Range]:
    """Run a float hub over a calibration set and note the range of every activation that int8 needs one for.

    Args:
        model: In hub normal form; it is not changed.
        samples: One array per input by name, of the inputs' shapes and types.
        on_sample: Called after each sample with how many are done.

    Returns:
        Ranges by value name.

    Raises:
        DataMalformed: There are no samples, or a value is NaN or infinite in one.
    """
    observed = place(model.graph).observed()
    producers = {name_of(value): value.producer() for value in observed}
    watched, watches = _watched(model, list(producers))
    session = Session(watched, optimise=False)  # fused nodes would move behind the others, and values live longer
    low = dict.fromkeys(producers, 0.0)
    high = dict(low)
    done = 0
    for sample in samples:
        results = session.run(sample, [output for watch in watches.values() for output in watch])
        for name, (smallest, largest, total) in watches.items():
            bounds = float(results[smallest]), float(results[largest])
            if np.isnan(results[total]) or not np.isfinite(bounds).all():
                raise _not_finite(name, producers[name], done)
            low[name], high[name] = min(low[name], bounds[0]), max(high[name], bounds[1])
        done += 1
        on_sample(done)
    if not done:
        raise DataMalformed("The calibration set has no rows", expected="at least one")
    return {name: Range(low[name], high[name]) for name in low}


def _watched(model: ir.Model, names: list[str]) -> tuple[ir.Model, dict[str, list[str]]]:
    """A copy of the model that reduces values where they are made, so that none outlives its last use.

    Returns:
        The copy, and for each value the outputs that hold its minimum, its maximum and its sum. The sum tells NaN,
        which onnxruntime's minimum and maximum may pass over.
    """
    copy = model.clone()
    graph = copy.graph
    editor = Editor(graph)
    by_name = {value.name: value for value in activations(graph)}
    watches: dict[str, list[str]] = {}
    for name in names:
        reduced = [
            editor.node(
                operator,
                [by_name[name]],
                name=f"{name}/{operator}",
                shape=(),
                attributes={"keepdims": 0},
                after=by_name[name].producer(),
            )
            for operator in ("ReduceMin", "ReduceMax", "ReduceSum")
        ]
        graph.outputs.extend(reduced)
        watches[name] = [name_of(value) for value in reduced]
    return copy, watches


def _not_finite(name: str, producer: ir.Node | None, row: int) -> DataMalformed:
    if producer is None:
        return DataMalformed(f"Row {row} of the input {name!r} holds NaN or infinity", expected="finite numbers")
    return DataMalformed(
        f"Row {row} makes the output {name!r} of the layer {producer.name!r} ({producer.op_type}) NaN or infinite",
        expected="finite numbers throughout the model",
        remedy="Check the row, and the layers before this one.",
        layer=producer.name or "",
        row=row,
    )
