"""The emulator against LiteRT, bit by bit: every operator on random graphs, without delegates and by reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from edgefleet_compiler.emulate.emulator import Emulator, emulate
from edgefleet_compiler.emulate.kernels import KERNELS
from edgefleet_compiler.emulate.rounding import Dialect
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract.errors import DataMalformed, OperatorUnsupported
from support.integer_operators import BUILDERS, integer_operator, stored_inputs
from support.quantised_tflite import int8_network, memory_network
from support.tflite_graphs import TfliteGraph

RESOLVERS = {
    Dialect.LITERT: OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    Dialect.LITERT_REFERENCE: OpResolverType.BUILTIN_REF,
}
CASES = 12
SEEDS = range(4)


def litert(graph: LoweredGraph, inputs: dict[str, NDArray[Any]], dialect: Dialect) -> list[NDArray[Any]]:
    """What LiteRT makes of many cases, one array an output."""
    interpreter = Interpreter(
        model_content=write_tflite(graph), experimental_op_resolver_type=RESOLVERS[dialect], num_threads=1
    )
    interpreter.allocate_tensors()
    details = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
    outputs = [detail["index"] for detail in interpreter.get_output_details()]
    results = []
    for case in range(len(next(iter(inputs.values())))):
        for name, values in inputs.items():
            interpreter.set_tensor(details[name], values[case])
        interpreter.invoke()
        results.append([interpreter.get_tensor(index) for index in outputs])
    return [np.stack(output) for output in zip(*results, strict=True)]


@pytest.mark.parametrize("dialect", RESOLVERS)
@pytest.mark.parametrize("name", BUILDERS)
def test_an_operator_gives_the_integers_of_litert(name: str, dialect: Dialect) -> None:
    for seed in SEEDS:
        graph = integer_operator(name, seed)
        inputs = stored_inputs(graph, CASES, seed)
        (expected,) = litert(graph, inputs, dialect)
        (seen,) = Emulator(graph, dialect).run(inputs).values()
        assert seen.dtype == expected.dtype
        assert np.count_nonzero(seen != expected) == 0, f"seed {seed}"


def test_every_kernel_is_checked() -> None:
    assert {kind for name in BUILDERS for kind in name.split(", ") if kind.isupper()} == KERNELS.keys()


@pytest.mark.parametrize("dialect", RESOLVERS)
def test_a_network_gives_the_integers_of_litert(dialect: Dialect) -> None:
    for seed in range(3):
        graph = int8_network(seed)
        inputs = stored_inputs(graph, 20, seed)
        (expected,) = litert(graph, inputs, dialect)
        (seen,) = Emulator(graph, dialect).run(inputs).values()
        assert np.array_equal(seen, expected)


def test_a_case_gives_the_same_alone_as_among_others() -> None:
    graph = int8_network()
    inputs = stored_inputs(graph, 70)
    together = Emulator(graph, Dialect.TFLITE_MICRO).run(inputs)
    for case in (0, 33, 69):
        alone = emulate(graph, {name: values[case] for name, values in inputs.items()}, Dialect.TFLITE_MICRO)
        assert {name: values.tolist() for name, values in alone.items()} == {
            name: values[case].tolist() for name, values in together.items()
        }


def test_inner_values_are_given_where_they_are_asked_for() -> None:
    graph = int8_network()
    names = [operator.outputs[0] for operator in graph.operators]
    seen = Emulator(graph, Dialect.LITERT).run(stored_inputs(graph, 3), names)
    assert {name: values.shape[1:] for name, values in seen.items()} == {
        name: graph.tensors[name].shape for name in names
    }


def test_dialects_differ_where_ties_are_negative() -> None:
    graph = integer_operator("CONV_2D", 3)
    inputs = stored_inputs(graph, 400)
    micro, litert_ = (Emulator(graph, dialect).run(inputs) for dialect in (Dialect.TFLITE_MICRO, Dialect.LITERT))
    difference = np.concatenate([micro[name].astype(int) - litert_[name] for name in micro])
    assert set(np.unique(difference)) == {-1, 0}


def test_operators_without_a_kernel_are_named() -> None:
    with pytest.raises(OperatorUnsupported, match="The emulator has no kernel for SVDF"):
        Emulator(memory_network(), Dialect.TFLITE_MICRO)


def test_an_element_type_without_a_kernel_is_named() -> None:
    graph = TfliteGraph()
    rows = graph.input((1, 4))
    with pytest.raises(OperatorUnsupported, match="does not compute SOFTMAX 'softmax': it computes on float32"):
        Emulator(graph.graph(graph.add("SOFTMAX", [rows], (1, 4))), Dialect.LITERT)


def test_inputs_of_another_shape_or_type_are_refused() -> None:
    emulator = Emulator(int8_network(), Dialect.LITERT)
    with pytest.raises(DataMalformed, match=r"Input 'input' is missing"):
        emulator.run({})
    with pytest.raises(DataMalformed, match=r"is float32 \[2, 1, 8, 8, 3\]. Expected int8 \[cases, 1, 8, 8, 3\]"):
        emulator.run({"input": np.zeros((2, 1, 8, 8, 3), np.float32)})
    with pytest.raises(DataMalformed, match=r"is int8 \[8, 8, 3\]"):
        emulator.run({"input": np.zeros((8, 8, 3), np.int8)})
