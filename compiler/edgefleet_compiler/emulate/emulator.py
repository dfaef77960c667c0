"""A quantised graph as a runtime computes it, in numpy: bit by bit, and many cases at once.

It stands for TFLite Micro, which does not run on a host from a wheel, and for LiteRT without delegates and LiteRT's
reference resolver, against which it is checked. The same file gives different integers in each
(``rounding.Dialect``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.emulate.kernels import KERNELS
from edgefleet_compiler.emulate.rounding import Dialect
from edgefleet_compiler.emulate.site import Run, Site, Values
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator
from edgefleet_compiler.lowered.lifetimes import lifetimes, tensor_bytes
from edgefleet_contract.errors import DataMalformed, OperatorUnsupported

# Bytes of the largest stored tensor of a chunk of cases: what kernels make of it in 64 bits then stays in the caches.
_CHUNK_BYTES: Final = 1 << 17


class Emulator:
    """A graph, ready to run.

    Args:
        graph: Quantised; as ``tflite.reader`` gives it.
        dialect: Whose integers are wanted.

    Raises:
        OperatorUnsupported: Operators have no kernel here; the error names them all.
    """

    def __init__(self, graph: LoweredGraph, dialect: Dialect) -> None:
        unknown = sorted({operator.kind for operator in graph.operators} - KERNELS.keys())
        if unknown or graph.states:
            raise OperatorUnsupported(
                f"The emulator has no kernel for {', '.join(unknown) or 'states'}",
                expected=f"only {', '.join(sorted(KERNELS))}",
                operators=unknown,
            )
        self._graph = graph
        self._steps: list[tuple[Operator, Run]] = [
            (operator, KERNELS[operator.kind](Site(graph, operator, dialect))) for operator in graph.operators
        ]
        self._last_read = {name: last for name, (_, last) in lifetimes(graph).items()}
        largest = max(tensor_bytes(graph.tensors[name]) for name in self._last_read)
        self._chunk = max(_CHUNK_BYTES // largest, 1)

    def run(self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Many cases.

        Args:
            inputs: Stored values by name, (cases, *shape) each, of the inputs' element types.
            names: The tensors wanted; the graph's outputs where None.

        Returns:
            Stored values by name, (cases, *shape) each.

        Raises:
            DataMalformed: An input is missing, or of another shape or element type.
            ModelMalformed: A sum leaves the bits that kernels have for it.
        """
        wanted = list(self._graph.outputs if names is None else names)
        cases = self._check(inputs)
        chunks = list(self._chunks(inputs, cases, wanted))
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in wanted}

    def _chunks(
        self, inputs: Mapping[str, NDArray[Any]], cases: int, wanted: list[str]
    ) -> Iterator[dict[str, NDArray[Any]]]:
        for first in range(0, cases, self._chunk):
            part = {name: inputs[name][first : first + self._chunk] for name in self._graph.inputs}
            yield self._run_chunk(part, wanted)

    def _run_chunk(self, values: dict[str, Values], wanted: list[str]) -> dict[str, Values]:
        cases = len(next(iter(values.values())))
        for step, (operator, run) in enumerate(self._steps, start=1):
            operands = [self._value(name, values) for name in operator.inputs if name is not None]
            values[operator.outputs[0]] = run(operands)
            for name in dict.fromkeys(operator.inputs):
                if name in values and self._last_read[name or ""] == step and name not in wanted:
                    del values[name]
        return {name: _for_each(self._value(name, values), cases) for name in wanted}

    def _value(self, name: str, values: Mapping[str, Values]) -> Values:
        if name in values:
            return values[name]
        data = self._graph.tensors[name].data
        assert data is not None, "operators stand in the order of their dependencies"
        return data[np.newaxis]

    def _check(self, inputs: Mapping[str, NDArray[Any]]) -> int:
        for name in self._graph.inputs:
            tensor = self._graph.tensors[name]
            seen = inputs.get(name)
            if seen is None or seen.shape[1:] != tensor.shape or seen.dtype != tensor.dtype or not len(seen):
                told = "missing" if seen is None else f"{seen.dtype} {list(seen.shape)}"
                raise DataMalformed(
                    f"Input {name!r} is {told}", expected=f"{tensor.dtype} [cases, {', '.join(map(str, tensor.shape))}]"
                )
        counts = {len(inputs[name]) for name in self._graph.inputs}
        if len(counts) > 1:
            raise DataMalformed(f"Inputs have {sorted(counts)} cases", expected="as many each")
        return counts.pop()


def emulate(graph: LoweredGraph, inputs: Mapping[str, NDArray[Any]], dialect: Dialect) -> dict[str, NDArray[Any]]:
    """One inference.

    Args:
        graph: Quantised.
        inputs: Stored values by name, of the inputs' shapes and element types.
        dialect: Whose integers are wanted.

    Returns:
        Stored values of the outputs by name.

    Raises:
        OperatorUnsupported: As of ``Emulator``.
        DataMalformed: As of ``Emulator.run``.
    """
    outputs = Emulator(graph, dialect).run({name: np.asarray(value)[np.newaxis] for name, value in inputs.items()})
    return {name: value[0] for name, value in outputs.items()}


def _for_each(values: Values, cases: int) -> Values:
    return np.broadcast_to(values, (cases, *values.shape[1:]))
