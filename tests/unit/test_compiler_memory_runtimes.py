"""Memory by the planner of each runtime, against what the runtime really allocates."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from edgefleet_compiler.artifact import Workbench
from edgefleet_compiler.data.evaluation import random_set
from edgefleet_compiler.exports import Exported
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_compiler.memory.litert import plan_litert
from edgefleet_compiler.memory.onnxruntime import arena_bytes, plan_onnxruntime
from edgefleet_compiler.memory.runtimes import peak_memory
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.source import load_source
from edgefleet_hardware.profile import load_profile, target_names
from support.model_files import write_classifier
from support.onnx_graphs import OnnxGraph
from support.runtime_memory import measure
from support.tflite_graphs import small_network

MIB = 1024 * 1024
Scheme = Literal["float", "int8"]


def large_images(path: Path) -> Path:
    """Convolutions of an image of 128 x 128: activations of megabytes, and few weights; one has its own padding."""
    graph = OnnxGraph(1)
    first = graph.node("Relu", graph.conv(graph.input("image", 1, 3, 128, 128), (3, 16), (3, 3), pads=[1, 1, 1, 1]))
    second = graph.node("Relu", graph.conv(first, (16, 32), (3, 3), pads=[1, 1, 1, 1]))
    third = graph.node("Relu", graph.conv(second, (32, 32), (3, 3), pads=[1, 1, 1, 1], strides=[2, 2]))
    graph.node("GlobalAveragePool", third, name="mean")
    path.write_bytes(graph.proto("mean").SerializeToString())
    return path


def export(source: Path, scheme: Scheme, artifact_format: Literal["tflite", "onnx"], out: Path) -> Exported:
    model = load_source(source, input_shapes={})
    recipe = Recipe(
        scheme=scheme,
        format=artifact_format,
        io="float",
        io_layout="source",
        seed=0,
        quantise=Settings() if scheme == "int8" else None,
    )
    bench = Workbench(model, random_set(model.inputs, 0, cases=2), Silent())
    exported = bench.build(recipe, max_opset=21 if artifact_format == "onnx" else None).exported
    out.write_bytes(exported.data)
    return exported


def lowered(exported: Exported) -> LoweredGraph:
    assert exported.lowered is not None
    return exported.lowered


@pytest.mark.parametrize("scheme", ["float", "int8"])
def test_litert_takes_what_is_predicted_and_little_for_itself(scheme: Scheme, tmp_path: Path) -> None:
    warm_up = tmp_path / "warm.tflite"
    export(write_classifier(tmp_path / "small.onnx"), "float", "tflite", warm_up)
    exported = export(large_images(tmp_path / "large.onnx"), scheme, "tflite", tmp_path / "large.tflite")
    measured = measure(tmp_path / "large.tflite", warm_up)
    predicted = plan_litert(lowered(exported), pointer_bytes=8).total
    assert 0 <= measured - predicted < 150_000
    assert predicted == pytest.approx(measured, rel=0.03)


@pytest.mark.parametrize("scheme", ["float", "int8"])
def test_onnxruntime_takes_about_what_is_predicted(scheme: Scheme, tmp_path: Path) -> None:
    warm_up = tmp_path / "warm.onnx"
    export(write_classifier(tmp_path / "small.onnx"), "float", "onnx", warm_up)
    exported = export(large_images(tmp_path / "source.onnx"), scheme, "onnx", tmp_path / "large.onnx")
    measured = measure(tmp_path / "large.onnx", warm_up)
    assert plan_onnxruntime(lowered(exported)).total == pytest.approx(measured, rel=0.25)


def test_an_arena_of_onnxruntime_grows_by_regions_that_double() -> None:
    assert [arena_bytes(size) for size in (0, MIB, MIB + 1, 3 * MIB, 3 * MIB + 1)] == [
        MIB,
        MIB,
        3 * MIB,
        3 * MIB,
        7 * MIB,
    ]


def test_weights_in_16_bits_are_unpacked_once_and_are_no_activations() -> None:
    graph = LoweredGraph(inputs=["x"], outputs=["y"])
    for tensor in (
        Tensor("x", (1, 64), np.dtype(np.float32)),
        Tensor("half", (32, 64), np.dtype(np.float16), data=np.zeros((32, 64), np.float16)),
        Tensor("weights", (32, 64), np.dtype(np.float32)),
        Tensor("y", (1, 32), np.dtype(np.float32)),
    ):
        graph.add_tensor(tensor)
    graph.operators = [
        Operator("DEQUANTIZE", ["half"], ["weights"]),
        Operator("FULLY_CONNECTED", ["x", "weights", None], ["y"]),
    ]
    plan = plan_litert(graph, pointer_bytes=8)
    assert (plan.workspace, plan.packed) == (0, 4 * (32 * 64 + 32))
    assert plan_onnxruntime(graph).constants == 4 * 32 * 64


def test_tables_of_pointers_are_half_as_large_on_a_32_bit_system() -> None:
    wide, narrow = (plan_litert(small_network(), pointer_bytes=size) for size in (8, 4))
    assert wide.tables == 2 * narrow.tables > 0
    assert wide.packed == narrow.packed


@pytest.mark.parametrize("target", target_names())
def test_the_planner_is_named_after_the_targets_runtime(target: str) -> None:
    profile = load_profile(target)
    for runtime in profile.runtimes:
        memory = peak_memory(small_network(), runtime, profile)
        assert memory.planner.startswith(runtime.name)
        assert memory.bytes > 0
