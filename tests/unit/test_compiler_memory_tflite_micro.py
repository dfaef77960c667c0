"""The arena of TFLite Micro: against real runs of it on emulated boards, and against sums done by hand."""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
import pytest

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Quantisation, Tensor
from edgefleet_compiler.lowered.memory import plan_memory
from edgefleet_compiler.lowered.optimise import optimise
from edgefleet_compiler.memory.tflite_micro.arena import plan_arena
from edgefleet_compiler.memory.tflite_micro.kernels import KERNELS, Build
from edgefleet_compiler.memory.tflite_micro.structures import EVAL_TENSOR, TENSOR, sizeof
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_hardware.runtime_limits import limits_of
from support.tflite_graphs import SHARED_MODELS

BASELINES = SHARED_MODELS.parent / "data" / "tflm-cases" / "baselines.json"
MODELS = {"IC": "pretrainedResnet_quant", "KWS": "kws_ref_model", "VWW": "vww_96_int8", "AD": "ad01_int8"}
BOARDS: dict[str, Literal["none", "dsp", "mve"]] = {
    "cortex-m3/mps2-an385": "none",
    "cortex-m4f/mps2-an386": "dsp",
    "cortex-m55-mve/mps3-an547": "mve",
}
BUILDS: dict[str, Literal["reference", "cmsis-nn"]] = {"tflm_reference": "reference", "tflm_cmsis_nn": "cmsis-nn"}


@pytest.mark.shared
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("model", MODELS)
def test_the_predicted_arena_is_what_tflite_micro_takes_on_the_board(model: str, board: str, build: str) -> None:
    measured: dict[str, Any] = json.loads(BASELINES.read_text())[model][board][build]
    graph = read_tflite((SHARED_MODELS / f"{MODELS[model]}.tflite").read_bytes())
    predicted = plan_arena(graph, Build(BUILDS[build], BOARDS[board]))
    assert predicted.unmodelled == ()
    # The roadmap asks for 3 %; a plan that makes the same allocations is exact.
    assert (predicted.used_bytes, predicted.bytes) == (measured["arena"], measured["arena_min_working"])


def quantised(name: str, *shape: int) -> Tensor:
    parameters = Quantisation(np.ones(1, np.float32), np.zeros(1, np.int64))
    return Tensor(name, shape, np.dtype(np.int8), parameters)


def one_operator(kind: str, *tensors: Tensor) -> LoweredGraph:
    """An operator that reads all but the last tensor; the first is the graph's input."""
    graph = LoweredGraph(inputs=[tensors[0].name], outputs=[tensors[-1].name])
    for tensor in tensors:
        graph.add_tensor(tensor)
    graph.operators = [Operator(kind, [tensor.name for tensor in tensors[:-1]], [tensors[-1].name])]
    return graph


def test_structures_are_padded_as_the_procedure_call_standard_says() -> None:
    assert [sizeof(layout, 1) for layout in ("b", "bi", "bib", "ibd", "hhh", "eeb")] == [1, 8, 12, 16, 6, 3]
    assert (sizeof(EVAL_TENSOR, 1), sizeof(TENSOR, 1)) == (12, 32)


def test_enumerations_are_wider_where_the_compiler_does_not_shorten_them() -> None:
    assert (sizeof("eeb", 4), sizeof(TENSOR, 4)) == (12, 40)
    graph = one_operator("EXP", quantised("x", 1, 16), quantised("y", 1, 16))
    short, wide = (plan_arena(graph, Build("reference", enum_bytes=width)) for width in (1, 4))  # type: ignore[arg-type] # literals
    assert wide.persistent_bytes > short.persistent_bytes


def test_the_tail_of_the_smallest_model_adds_up() -> None:
    """EXP has neither options nor data; then what is left are the interpreter's own structures."""
    arena = plan_arena(one_operator("EXP", quantised("x", 1, 16), quantised("y", 1, 16)), Build("reference"))
    allocators = 36 + 44 + 36 + 8 + 8  # arena allocator, planner, MicroAllocator, options' allocator, subgraph
    tables = 2 * 12 + 32  # two evaluation tensors, one node
    ends = 0
    for _ in ("input", "output"):  # a pointer at a multiple of 16, the tensor, its parameters
        ends += -(allocators + tables + ends + 4) % 16 + 4 + 32 + 12 + 8
    assert arena.persistent_bytes == allocators + tables + ends
    assert arena.planned_bytes == 32
    assert arena.used_bytes == arena.persistent_bytes + arena.planned_bytes


def test_planning_may_need_more_than_what_is_used_in_the_end() -> None:
    arena = plan_arena(one_operator("EXP", quantised("x", 1, 1), quantised("y", 1, 1)), Build("reference"))
    assert arena.bytes > arena.used_bytes
    assert arena.bytes % 16 == 0


def test_scratch_buffers_live_for_their_operator_alone_and_cost_a_handle() -> None:
    axes = Tensor("axes", (2,), np.dtype(np.int32), data=np.array([1, 2], np.int32))
    graph = one_operator("MEAN", quantised("x", 1, 8, 8, 16), axes, quantised("y", 1, 16))
    arena = plan_arena(graph, Build("reference"))
    assert arena.planned_bytes == 8 * 8 * 16 + 16 + 4 * 16 + 16 + 16  # x, y, accumulators, two lists of indices


def test_state_stays_in_the_tail() -> None:
    graph = one_operator("EXP", quantised("x", 1, 16), quantised("y", 1, 16))
    without = plan_arena(graph, Build("reference")).persistent_bytes
    graph.add_tensor(Tensor("state", (1, 64), np.dtype(np.int8), variable=True))
    graph.operators[0].inputs.append("state")
    assert plan_arena(graph, Build("reference")).persistent_bytes - without >= 64 + sizeof(EVAL_TENSOR, 1)


def test_kernels_that_are_not_known_are_named() -> None:
    graph = one_operator("UNIDIRECTIONAL_SEQUENCE_LSTM", quantised("x", 1, 16), quantised("y", 1, 16))
    assert plan_arena(graph, Build("reference")).unmodelled == ("UNIDIRECTIONAL_SEQUENCE_LSTM",)
    assert plan_arena(one_operator("EXP", quantised("x", 1), quantised("y", 1)), Build("cmsis-nn")).unmodelled == ()
    assert "CONV_2D" in KERNELS


def test_nearly_every_operator_of_the_runtime_is_modelled() -> None:
    unmodelled = set(limits_of("tflite-micro").operators) - set(KERNELS)
    assert unmodelled == {
        "ADD_N",
        "BROADCAST_ARGS",
        "DYNAMIC_UPDATE_SLICE",
        "EMBEDDING_LOOKUP",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
    }


def test_cmsis_nn_lays_out_columns_only_where_its_instructions_do() -> None:
    """A 5 x 5 depthwise convolution: nothing plain, 16-bit columns with DSP, blocks of 124 channels with MVE."""
    weights = Tensor(
        "w", (1, 5, 5, 8), np.dtype(np.int8), quantised("", 1).quantisation, np.zeros((1, 5, 5, 8), np.int8)
    )
    graph = one_operator("DEPTHWISE_CONV_2D", quantised("x", 1, 8, 8, 8), weights, quantised("y", 1, 8, 8, 8))
    planned = [plan_arena(graph, Build("cmsis-nn", vectors)).planned_bytes for vectors in ("none", "dsp", "mve")]
    image = 8 * 8 * 8
    assert planned == [2 * image, 2 * image + 2 * 8 * 25, 2 * image + -(-4 * 124 * 25 // 16) * 16]


def test_scratch_buffers_lie_around_a_plan_of_the_file() -> None:
    """The image and the result side by side in the middle of an arena: what CMSIS-NN asks for lies below them."""
    weights = Tensor(
        "w", (1, 5, 5, 8), np.dtype(np.int8), quantised("", 1).quantisation, np.zeros((1, 5, 5, 8), np.int8)
    )
    graph = one_operator("DEPTHWISE_CONV_2D", quantised("x", 1, 8, 8, 8), weights, quantised("y", 1, 8, 8, 8))
    image, columns = 8 * 8 * 8, 2 * 8 * 25
    first, second = graph.inputs[0], graph.outputs[0]
    offsets = {first: columns, second: columns + image}
    assert plan_arena(graph, Build("cmsis-nn", "dsp"), offsets=offsets).planned_bytes == columns + 2 * image
    offsets = {first: 0, second: image}
    assert plan_arena(graph, Build("cmsis-nn", "dsp"), offsets=offsets).planned_bytes == columns + 2 * image
    offsets = {first: 64, second: 64 + image}
    assert plan_arena(graph, Build("cmsis-nn", "dsp"), offsets=offsets).planned_bytes == 64 + columns + 2 * image


@pytest.mark.shared
def test_a_mobilenet_takes_a_tenth_less_with_a_plan_in_its_file() -> None:
    graph = read_tflite((SHARED_MODELS / "vww_96_int8.tflite").read_bytes())
    optimise(graph)
    plan = plan_memory(graph)
    build = Build("cmsis-nn", "dsp")
    backwards = plan_arena(graph, build, backwards=True)
    assert (backwards.bytes, plan_arena(graph, build, offsets=plan.offsets).bytes) == (91_408, 82_192)
