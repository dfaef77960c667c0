"""How long each layer takes in an artifact and in its float model: where an artifact loses what it should win."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.benchmark.node_times import invocation, trimmed_mean
from edgefleet_compiler.benchmark.onnx_profile import profile_onnx
from edgefleet_compiler.benchmark.operators_alone import operators_of
from edgefleet_compiler.benchmark.small_model import small_model
from edgefleet_compiler.benchmark.subject import random_inputs
from edgefleet_compiler.checks.latency import time_in_turns
from edgefleet_compiler.checks.onnx_nodes import layers_of_nodes
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.layer_names import short_name

_SECONDS = 0.8
_TURNS, _MOST_RUNS = 2, 50
_CONVERSIONS = ("DEQUANTIZE", "QUANTIZE", "TRANSPOSE")
_LAYERS_NAMED = 3
_WORTH_NAMING = 0.5  # microseconds; profiles have a resolution of one


class LayerTime(NamedTuple):
    """Microseconds that a layer takes in an artifact, and in its float model."""

    artifact: float
    baseline: float


Times = Mapping[str | None, LayerTime]
"""By the layer's name; what stands under None converts between element types or axis orders."""


def layer_times(artifact: Artifact, baseline: Artifact) -> Times:
    """Time both models on this host, in turns, on one thread, for about a second.

    Args:
        artifact: With a hub.
        baseline: The float model in the same format.
    """
    both = (artifact, baseline)
    if artifact.recipe.format == "tflite":
        sums = _of_tflite(both)
    else:
        turns = [[_of_onnx(model) for model in both] for _ in range(_TURNS)]
        sums = [_mean([turn[place] for turn in turns]) for place in range(len(both))]
    names = dict.fromkeys([*sums[0], *sums[1]])
    return {name: LayerTime(sums[0].get(name, 0.0), sums[1].get(name, 0.0)) for name in names}


def told_losses(times: Times) -> str:
    """The layers that lose most, as a sentence; empty where none does."""
    losses = sorted(times.items(), key=lambda item: item[1].baseline - item[1].artifact)
    lost = [(name, time) for name, time in losses if time.artifact - time.baseline > _WORTH_NAMING]
    told = [
        f"{'conversions between types or axis orders' if name is None else repr(short_name(name))} "
        f"({time.artifact:.1f} µs against {time.baseline:.1f} µs)"
        for name, time in lost[:_LAYERS_NAMED]
    ]
    return f"Most is lost in {', '.join(told)}." if told else ""


def _of_onnx(model: Artifact) -> dict[str | None, float]:
    assert model.hub is not None
    runner = open_runner(model.data, "onnx")
    inputs = random_inputs(runner)
    (once,) = time_in_turns([lambda: runner.infer(inputs)], rounds=3)
    runs = int(np.clip(_SECONDS / 2 / _TURNS / np.median(once), 3, _MOST_RUNS))
    layers = layers_of_nodes(onnx.load_model_from_string(model.data).graph, model.hub)
    nodes = profile_onnx(model.data, inputs, runs=runs)
    return _sums((None if node.index is None else layers[node.index], node.seconds) for node in nodes)


def _of_tflite(models: Sequence[Artifact]) -> list[dict[str | None, float]]:
    operators = [operators_of(model.exported.lowered)[0] if model.exported.lowered else [] for model in models]
    works = [small_model("tflite"), *(operator.model for each in operators for operator in each)]
    calling, *times = time_in_turns([invocation(work) for work in works], seconds=_SECONDS)
    seconds = iter(times)
    return [
        _sums(
            (
                None if operator.kind in _CONVERSIONS else operator.name,
                np.maximum(next(seconds) - np.median(calling), 0.0),
            )
            for operator in each
        )
        for each in operators
    ]


def _sums(nodes: Iterable[tuple[str | None, NDArray[np.float64]]]) -> dict[str | None, float]:
    sums: dict[str | None, float] = defaultdict(float)
    for name, seconds in nodes:
        sums[name] += trimmed_mean(seconds) * 1e6
    return dict(sums)


def _mean(sums: Sequence[Mapping[str | None, float]]) -> dict[str | None, float]:
    return {name: sum(each.get(name, 0.0) for each in sums) / len(sums) for name in sums[0]}
