"""SVDF: a fully connected layer over time, of low rank, with its memory as an input and an output of its own.

Source: Nakkiran et al. 2015, "Compressing Deep Neural Networks using a Rank-Constrained Topology"; TFLite's SVDF. Each
filter maps the features of a step to one number, keeps the last numbers in a memory, and weighs them over time; the
filters of one unit, as many as the rank, are added up.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lift.activation import fused_activation
from edgefleet_compiler.lift.site import Site, Unliftable

_STATE = 4


def lift_svdf(site: Site) -> ir.Value:
    """SVDF of one case; inputs are features, weights over features and over time, a bias or none, and the memory."""
    source, features, time = site.tensor(0).shape, site.tensor(1).shape, site.tensor(2).shape
    if source[0] != 1:
        raise Unliftable(f"it takes {source[0]} cases at once")
    filters, rank = features[0], site.option("rank")
    site.require(
        rank >= 1 and filters % rank == 0 and features[1] == source[1] and time[0] == filters,
        f"has weights of {list(features)} and {list(time)} for an input of {list(source)} and rank {rank}",
    )
    seen = site.emit("Gemm", [site.value(0), site.value(1)], (1, filters), {"transB": 1}, label="features")
    memory = _shifted(site, seen, filters, time[1])
    weighed = site.emit("Mul", [memory, site.value(2)], (filters, time[1]), label="weighed")
    units = filters // rank
    summed = _reshaped(site, _sum(site, weighed, (filters,), "over_time"), (units, rank), "ranks")
    result = _reshaped(site, _sum(site, summed, (units,), "over_ranks"), (1, units), "units")
    if site.has(3):
        result = site.emit("Add", [result, site.value(3)], (1, units), label="biased")
    return fused_activation(site, result)


def _shifted(site: Site, seen: ir.Value, filters: int, steps: int) -> ir.Value:
    """The memory, its oldest column gone and the newest at the end; shape (filters, steps)."""
    before = _reshaped(site, site.state(_STATE), (filters, steps), "memory")
    bounds = [site.constant(name, np.array(numbers, np.int64)) for name, numbers in _all_but_the_oldest(steps).items()]
    kept = site.emit("Slice", [before, *bounds], (filters, steps - 1), label="kept") if steps > 1 else None
    newest = _reshaped(site, seen, (filters, 1), "newest")
    columns = [newest] if kept is None else [kept, newest]
    memory = site.emit("Concat", columns, (filters, steps), {"axis": 1}, label="remembered")
    flat = site.keep_state(_STATE, _reshaped(site, memory, (1, filters * steps), "kept_memory"))
    return _reshaped(site, flat, (filters, steps), "rounded_memory")


def _all_but_the_oldest(steps: int) -> dict[str, list[int]]:
    return {"starts": [1], "ends": [steps], "axes": [1]}


def _sum(site: Site, value: ir.Value, shape: tuple[int, ...], label: str) -> ir.Value:
    """The sum over the second axis."""
    axes = site.constant(f"{label}/axes", np.array([1], np.int64))
    return site.emit("ReduceSum", [value, axes], shape, {"keepdims": 0}, label=label)


def _reshaped(site: Site, value: ir.Value, shape: tuple[int, ...], label: str) -> ir.Value:
    return site.emit("Reshape", [value, site.constant(f"{label}/shape", np.array(shape, np.int64))], shape, label=label)
