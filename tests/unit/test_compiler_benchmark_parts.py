"""Parts of the benchmark that need no emulated board: what is called equal, and whose name a node gets."""

from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.benchmark.nodes import align
from edgefleet_compiler.benchmark.operators_alone import operators_alone
from edgefleet_compiler.benchmark.pi import agreement
from edgefleet_compiler.benchmark.subject import in_memory
from edgefleet_compiler.checks.latency import ratio_interval, time_in_turns
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_compiler.tflite.writer import write_tflite


def floats(*values: float) -> list[np.ndarray]:
    return [np.array(values, np.float32)]


def test_integers_are_equal_or_different_and_never_close() -> None:
    here, there = np.array([100, 5], np.int8), np.array([100, 6], np.int8)
    assert agreement([here], [here]).verdict == "equal"
    assert agreement([here], [there]).verdict == "different"


def test_floats_are_close_by_the_reach_of_the_outputs() -> None:
    assert agreement(floats(1.0, 1e-3), floats(1.0, 1e-3 + 9e-5)).verdict == "close"
    assert agreement(floats(1.0, 1e-3), floats(1.0, 1e-3 + 2e-4)).verdict == "different"


def test_what_is_no_number_here_must_be_none_there() -> None:
    assert agreement(floats(np.nan, 1), floats(-np.nan, 1)).verdict == "equal"
    assert agreement(floats(np.inf, 1), floats(np.inf, 1)).verdict == "equal"
    assert agreement(floats(np.nan, 1), floats(0, 1)).verdict == "different"
    assert agreement(floats(np.inf, 1), floats(-np.inf, 1)).verdict == "different"


def test_names_are_given_over_what_quantising_puts_in_and_takes_away() -> None:
    tokens = [("QuantizeLinear", None), ("Conv", None), ("Add", None), ("DequantizeLinear", None)]
    source = [(("Conv", None), "stem"), (("Relu", None), "stem/relu"), (("Add", None), "join")]
    assert align(tokens, source) == [None, "stem", "join", None]


@pytest.mark.parametrize("kinds", [["Conv", "Conv"], ["Add"], []])
def test_no_name_is_given_where_the_operators_are_others(kinds: list[str]) -> None:
    source = [((kind, None), kind) for kind in kinds]
    assert align([("Conv", None), ("Add", None)], source) == [None, None]


def test_a_file_that_only_the_runtime_reads_has_no_operators_of_its_own() -> None:
    operators, warnings = operators_alone(in_memory(b"\x00" * 64, "tflite"))
    assert operators == []
    assert "one by one" in warnings[0]


def test_an_operator_that_takes_no_random_input_is_left_out_and_named() -> None:
    """A Reshape to a shape that another operator computes."""
    tensors = {
        "x": Tensor("x", (1, 6), np.dtype(np.float32)),
        "shape": Tensor("shape", (2,), np.dtype(np.int32)),
        "relu": Tensor("relu", (1, 6), np.dtype(np.float32)),
        "y": Tensor("y", (6, 1), np.dtype(np.float32)),
    }
    graph = LoweredGraph(
        tensors,
        [Operator("RELU", ["x"], ["relu"]), Operator("RESHAPE", ["relu", "shape"], ["y"])],
        inputs=["x", "shape"],
        outputs=["y"],
    )
    operators, warnings = operators_alone(in_memory(write_tflite(graph), "tflite"))
    assert [operator.kind for operator in operators] == ["RELU"]
    assert "RESHAPE" in warnings[0]


def test_works_take_turns_and_each_is_done_once_a_round() -> None:
    calls: list[int] = []
    times = time_in_turns([lambda: calls.append(0), lambda: calls.append(1)], rounds=40)
    assert times.shape == (2, 40)
    rounds = np.array(calls[10:]).reshape(40, 2)
    assert (rounds.sum(axis=1) == 1).all()
    assert 5 < int(rounds[:, 0].sum()) < 35  # the order is shuffled


def test_the_interval_of_a_ratio_holds_it_and_shrinks_with_noise() -> None:
    generator = np.random.default_rng(0)
    base = generator.normal(10, 0.1, 200)
    low, high = ratio_interval(2 * base, base)
    assert low == pytest.approx(2)
    assert high == pytest.approx(2)
    low, high = ratio_interval(2 * generator.normal(10, 1, 200), base)
    assert low < 2 < high
    assert high - low < 0.2
