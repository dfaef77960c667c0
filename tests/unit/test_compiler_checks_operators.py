"""Operators that a target's runtime lacks are told at compile time, all at once."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgefleet_compiler.checks.operators import check_operators, missing_operators
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_contract.errors import OperatorUnsupported
from edgefleet_hardware.profile import Runtime, RuntimeName, load_profile, target_names
from edgefleet_hardware.runtime_limits import limits_of
from support.tflite_graphs import small_network

ROOT = Path(__file__).resolve().parents[2]


def probe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("runtime_limits_script", ROOT / "scripts" / "runtime_limits.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def chain(*kinds: str, dtype: Any = np.float32) -> LoweredGraph:
    """Operators of one operand after each other, each named after its kind."""
    graph = LoweredGraph(inputs=["t0"], outputs=[f"t{len(kinds)}"])
    for index in range(len(kinds) + 1):
        graph.add_tensor(Tensor(f"t{index}", (1, 4), np.dtype(dtype)))
    graph.operators = [
        Operator(kind, [f"t{index}"], [f"t{index + 1}"], source=f"my/{kind.lower()}")
        for index, kind in enumerate(kinds)
    ]
    return graph


def test_the_table_of_litert_is_what_its_resolver_says() -> None:
    said = dict(probe().operator_versions(Interpreter))
    assert said == {kind: limit.version for kind, limit in limits_of("litert").operators.items()}


@pytest.mark.parametrize("name", ["litert", "onnxruntime", "onnxruntime-web", "tflite-micro", "tflite-runtime"])
def test_each_runtime_has_limits_with_a_source(name: RuntimeName) -> None:
    limits = limits_of(name)
    assert limits.name == name
    assert limits.source
    assert limits.complete != bool(limits.operators)
    assert not set(limits.rewrites) & {kind for kind, limit in limits.operators.items() if limit.dtypes is None}


@pytest.mark.parametrize("target", target_names())
def test_a_small_network_runs_everywhere(target: str) -> None:
    for runtime in load_profile(target).runtimes:
        assert missing_operators(small_network(), runtime) == []


def test_all_that_is_missing_is_told_at_once_with_names_and_rewrites() -> None:
    profile = load_profile("nrf52840")
    with pytest.raises(OperatorUnsupported) as refused:
        check_operators(chain("RELU", "GELU", "TOPK_V2"), profile.runtimes[0], profile)
    assert [entry["node"] for entry in refused.value.facts["operators"]] == ["my/gelu", "my/topk_v2"]
    assert "tflite-micro does not have it; instead: x * sigmoid(1.702 * x)" in refused.value.seen
    assert refused.value.exit_status == 3


def test_types_without_a_kernel_are_told() -> None:
    (refusal,) = missing_operators(chain("EXP", dtype=np.int8), load_profile("nrf52840").runtimes[0])
    assert refusal.reason.startswith("tflite-micro computes it in float32, not in int8")
    assert missing_operators(chain("EXP", dtype=np.float32), load_profile("nrf52840").runtimes[0]) == []


def test_versions_are_held_against_the_runtime_of_the_target() -> None:
    graph = chain("RELU")
    graph.tensors["t0"].dtype = graph.tensors["t1"].dtype = np.dtype(np.int16)
    for runtime in (load_profile("rpi2-armv7").runtimes[0], load_profile("rpi4").runtimes[0]):
        assert missing_operators(graph, runtime) == []
    graph.operators[0].kind = "STABLEHLO_CBRT"
    assert [refusal.operator for refusal in missing_operators(graph, load_profile("rpi4").runtimes[0])] == [
        "STABLEHLO_CBRT"
    ]


def test_a_version_too_new_names_both() -> None:
    graph = chain("RSQRT", dtype=np.int16)  # version 3, and TensorFlow 2.14 has version 2
    (refusal,) = missing_operators(graph, load_profile("rpi2-armv7").runtimes[0])
    assert refusal.reason == "its version is 3, and tflite-runtime 2.14 has version 2"
    assert missing_operators(graph, load_profile("rpi4").runtimes[0]) == []


def test_a_firmware_that_registers_fewer_operators_is_respected() -> None:
    runtime = Runtime("tflite-micro", "tflite", "2026.8", kernels="reference", operators=["RELU"])
    (refusal,) = missing_operators(chain("RELU", "LOGISTIC"), runtime)
    assert refusal.reason == "the target's firmware does not register it"
