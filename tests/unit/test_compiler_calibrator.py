"""Ranges as recipes ask for them, and how often the calibration set is read for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgefleet_compiler.calibrator import Calibrator
from edgefleet_compiler.data import DataSet
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.passes.record import PassRecord
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.tensors import Sample
from edgefleet_contract.errors import RecipeMalformed
from support.onnx_graphs import OnnxGraph


class Told:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None]] = []
        self.steps = 0

    def stage(self, label: str, total: int | None = None) -> None:
        self.stages.append((label, total))

    def advance(self) -> None:
        self.steps += 1


def hub():
    graph = OnnxGraph(5)
    features = graph.node("Relu", graph.conv(graph.input("image", 1, 3, 6, 6), (3, 4), (3, 3)), name="features")
    model = graph.model(graph.gemm(graph.reshape(features, 1, 64), 64, 5))
    simplify(model)
    return model


def data(count: int = 300) -> DataSet:
    def samples() -> Iterator[Sample]:
        random = np.random.default_rng(0)
        for _ in range(count):
            yield {"image": random.laplace(size=(1, 3, 6, 6)).astype(np.float32)}

    return DataSet(Path("cal.npz"), "", count, None, samples)


def test_each_activation_has_the_method_that_the_recipe_names() -> None:
    told, records = Told(), list[PassRecord]()
    calibrator, model = Calibrator(data(), told), hub()
    plain = calibrator.ranges("a", model, Settings(), records)
    mixed = calibrator.ranges(
        "a", model, Settings(ranges={"features": "percentile 99", "image": "min-max x 0.5"}), records
    )
    assert mixed["features"].high < plain["features"].high
    assert mixed["image"].high == plain["image"].high / 2
    assert [name for name in plain if plain[name] != mixed[name]] == ["image", "features"]
    assert [record.effect for record in records] == [
        "min-max of 300 cases",
        "min-max of 300 cases; min-max x 0.5 of 1 activation; percentile 99 of 1 activation",
    ]
    assert all(record.seconds > 0 for record in records)


def test_a_hub_is_observed_once_and_once_more_for_histograms() -> None:
    told, records = Told(), list[PassRecord]()
    calibrator, model = Calibrator(data(), told), hub()
    for calibration in ("min-max", "min-max x 0.9", "percentile 100", "mse", "entropy", "percentile 99.9", "min-max"):
        calibrator.ranges("a", model, Settings(calibration=calibration), records)
    assert told.stages == [("calibrating", 300)] * 2
    assert told.steps == 600
    calibrator.ranges("equalised", model, Settings(), records)
    assert len(told.stages) == 3


def test_an_activation_that_is_not_there_is_refused_with_names_near_it() -> None:
    with pytest.raises(RecipeMalformed, match="'featurs', which is no activation") as caught:
        Calibrator(data(3), Told()).ranges("a", hub(), Settings(ranges={"featurs": "mse"}), [])
    assert caught.value.expected == "a name such as 'features'"


def test_warnings_tell_each_fact_once() -> None:
    calibrator, records = Calibrator(data(5), Told()), list[PassRecord]()
    assert calibrator.warnings == []
    calibrator.ranges("a", hub(), Settings(), records)
    calibrator.ranges("b", hub(), Settings(calibration="mse"), records)
    (warning,) = calibrator.warnings
    assert "of 5 cases alone widen the range of some activation" in warning
