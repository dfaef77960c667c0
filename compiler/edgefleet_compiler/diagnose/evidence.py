"""Gathering the figures that causes are told from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.diagnose.causes import Evidence, Saturated
from edgefleet_compiler.diagnose.record import Spread
from edgefleet_compiler.hub.dequantised import reals
from edgefleet_compiler.hub.graph import activations, constant, name_of, sole_consumer
from edgefleet_compiler.hub.outputs import with_outputs
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.quantise.calibrate import Range, Ranges
from edgefleet_compiler.quantise.calibration.observe import Observations
from edgefleet_compiler.quantise.operators import is_fused
from edgefleet_compiler.tensors import Sample

_BINS = 128
_NOTHING = Saturated(0.0, 0.0, 0.0, 0.0)


def ranges_of(hub: ir.Model, names: Iterable[str]) -> dict[str, Range]:
    """The ranges that the pairs of a quantised hub have for activations, of those of the names that have pairs."""
    stored = {node.name: node for node in hub.graph if node.op_type == "QuantizeLinear"}
    found = {}
    for name in names:
        node = stored.get(f"{name}/quantise")
        zero_point = None if node is None else constant(node.inputs[2])
        if node is None or zero_point is None:
            continue
        limits = np.iinfo(zero_point.dtype)
        low, high = (float(reals(node, np.asarray(end, zero_point.dtype))) for end in (limits.min, limits.max))
        found[name] = Range(low, high)
    return found


def layer_of(value: ir.Value) -> str:
    """The name of the layer that gives a value, as reports have it: an activation is part of what it is fused into."""
    producer = value.producer()
    if producer is None:
        return name_of(value)
    source = producer.inputs[0] if producer.inputs else None
    if source is not None and is_fused(source) and sole_consumer(source) is producer:
        producer = source.producer() or producer
    return producer.name or ""


def layers_of(hub: ir.Model) -> dict[str, str]:
    """The layer of each activation of a float hub, both by name."""
    return {name_of(value): layer_of(value) for value in activations(hub.graph)}


def gather(
    float_hub: ir.Model, seen: Observations, ranges: Ranges, typical: Sequence[Sample], held_out: Sequence[Sample]
) -> dict[str, Evidence]:
    """The evidence of each activation that has a range.

    Args:
        float_hub: Computes the values.
        seen: What calibration saw of it.
        ranges: What int8 has for them.
        typical: Cases of the calibration set.
        held_out: Other cases.
    """
    watched = with_outputs(float_hub, ranges)
    calibration, others = _saturated(watched, ranges, typical), _saturated(watched, ranges, held_out)
    return {
        name: Evidence(
            low=chosen.low,
            high=chosen.high,
            power=float(seen.activations[name].channel_powers.mean()),
            reach=seen.activations[name].reach,
            reach_case=seen.activations[name].reach_case,
            median_reach=seen.activations[name].median_reach,
            cases=seen.cases,
            calibration=calibration.get(name, _NOTHING),
            held_out=others.get(name, _NOTHING),
        )
        for name, chosen in ranges.items()
        if name in seen.activations
    }


def spread_of(
    float_hub: ir.Model, activation: str, samples: Sequence[Sample], before: Range, after: Range | None
) -> Spread:
    """A histogram of an activation over cases, beside its ranges."""
    session = Session(with_outputs(float_hub, [activation]), optimise=False)
    values = np.concatenate([_value(session, sample, activation).reshape(-1) for sample in samples])
    counts, edges = np.histogram(values.astype(np.float64), _BINS)
    ends = None if after is None else (after.low, after.high)
    return Spread(edges.tolist(), counts.tolist(), (before.low, before.high), ends)


def _saturated(watched: ir.Model, ranges: Ranges, samples: Sequence[Sample]) -> Mapping[str, Saturated]:
    session = Session(watched, optimise=False)
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in ranges}
    for sample in samples:
        computed = session.run(sample, [name for name in ranges if name in session.outputs])
        for name, chosen in ranges.items():
            values = computed[name] if name in computed else np.asarray(sample[name], np.float32)
            found[name].append((*_beyond(values, chosen), values.min(), values.max()))
    return {name: _over_cases(np.array(cases, np.float64)) for name, cases in found.items() if cases}


def _beyond(values: NDArray[np.float32], chosen: Range) -> tuple[float, float]:
    """The share of values beyond a range, and their mean square distance from it over all values."""
    low, high = chosen.low - _half_step(chosen), chosen.high + _half_step(chosen)
    if values.min() >= low and values.max() <= high:
        return 0.0, 0.0
    beyond = values - np.clip(values, low, high)
    return float(np.mean(beyond != 0)), float(np.mean(np.square(beyond)))


def _over_cases(cases: NDArray[np.float64]) -> Saturated:
    shares, noises, lows, highs = cases.T
    return Saturated(float(shares.mean()), float(noises.mean()), float(lows.min()), float(highs.max()))


def _half_step(chosen: Range) -> float:
    """How far beyond an end values are still rounded to it."""
    return (chosen.high - chosen.low) / 255 / 2


def _value(session: Session, sample: Sample, name: str) -> NDArray[np.generic]:
    return session.run(sample, [name])[name] if name in session.outputs else sample[name]
