"""The emulator against LiteRT, bit by bit: every operator on random graphs, without delegates and by reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from edgefleet_compiler.emulate.emulator import Emulator
from edgefleet_compiler.emulate.kernels import KERNELS
from edgefleet_compiler.emulate.rounding import Dialect
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.tflite.writer import write_tflite
from support.integer_operators import BUILDERS, integer_operator, stored_inputs

RESOLVERS = {
    Dialect.LITERT: OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    Dialect.LITERT_REFERENCE: OpResolverType.BUILTIN_REF,
}
CASES = 12
SEEDS = range(6)


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
