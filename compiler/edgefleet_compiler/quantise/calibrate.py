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

from edgefleet_compiler.hub.graph import name_of
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
    inputs = {name_of(value) for value in observed if value.is_graph_input()}
    computed = [value for value in observed if not value.is_graph_input()]
    producers = {name_of(value): producer for value in computed if (producer := value.producer()) is not None}
    session = Session(_observable(model, computed))
    low = dict.fromkeys((name_of(value) for value in observed), 0.0)
    high = dict(low)
    done = 0
    for sample in samples:
        results = session.run(sample, list(producers)) if producers else {}
        for name, array in (*((name, sample[name]) for name in inputs), *results.items()):
            smallest, largest = float(array.min()), float(array.max())
            if not np.isfinite(largest - smallest):
                raise _not_finite(name, producers.get(name), done)
            low[name] = min(low[name], smallest)
            high[name] = max(high[name], largest)
        done += 1
        on_sample(done)
    if not done:
        raise DataMalformed("The calibration set has no rows", expected="at least one")
    return {name: Range(low[name], high[name]) for name in low}


def _observable(model: ir.Model, values: list[ir.Value]) -> ir.Model:
    """The model with these values as outputs, too."""
    copy = model.clone()
    by_name = {value.name: value for node in copy.graph for value in node.outputs}
    for value in values:
        output = by_name[value.name]
        if not output.is_graph_output():
            copy.graph.outputs.append(output)
    return copy


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
