"""Running a hub piece by piece over several cases, so that what stands behind a stop can still be changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import IR_VERSION, byte_size, constant, dtype_of, name_of, shape_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.tensors import Sample


class Pieces:
    """A hub cut in front of some of its nodes.

    Each case is run up to a stop, and from there on only when the next one is asked for. Every node runs once, and the
    nodes at the stops twice. Between pieces, all values that are still needed are kept for each case.

    Args:
        model: May be changed between stops: constants of nodes from the last stop on are read anew.
        stops: Nodes of the graph, in its order.
    """

    def __init__(self, model: ir.Model, stops: Sequence[ir.Node]) -> None:
        self._model = model
        self._nodes = [node for node in model.graph if not _is_of_constants(node)]
        self._stops = [(self._nodes.index(stop), stop) for stop in stops]

    def live_bytes(self) -> int:
        """What is kept of a case between two pieces at most."""
        return max((sum(byte_size(value) for value in self._live(index)) for index, _ in self._stops), default=0)

    def outputs(self, samples: Sequence[Sample]) -> Iterator[list[NDArray[Any]]]:
        """What each stop gives in each case: the first output, before anything behind it is run."""
        kept: list[dict[str, NDArray[Any]]] = [dict(sample) for sample in samples]
        start = 0
        for index, stop in self._stops:
            live = [name_of(value) for value in self._live(index)]
            session = self._session(self._nodes[start : index + 1], set(live), stop)
            seen = []
            for case, values in enumerate(kept):
                results = session.run({name: values[name] for name in session.inputs})
                seen.append(results[name_of(stop.outputs[0])])
                kept[case] = {name: results[name] if name in results else values[name] for name in live}
            yield seen
            start = index

    def _live(self, index: int) -> list[ir.Value]:
        """The values made before a node that it or a later one reads."""
        before = {value for node in self._nodes[:index] for value in node.outputs} | set(self._model.graph.inputs)
        read = (value for node in self._nodes[index:] for value in node.inputs if value is not None)
        return [value for value in dict.fromkeys(read) if value in before]

    def _session(self, nodes: Sequence[ir.Node], live: set[str], stop: ir.Node) -> Session:
        read = list(dict.fromkeys(value for node in nodes for value in node.inputs if value is not None))
        made = [value for node in nodes for value in node.outputs if value.name]
        constants = [producer for value in read if (producer := value.producer()) and _is_of_constants(producer)]
        stored = [value for value in read if constant(value) is not None]
        stored += [value for node in constants for value in node.inputs if value is not None]
        computed = {*made, *(value for node in constants for value in node.outputs), *stored}
        graph = onnx.helper.make_graph(
            [ir.to_proto(node) for node in [*dict.fromkeys(constants), *nodes]],
            "piece",
            [_described(value) for value in read if value not in computed],
            [_described(value) for value in made if value.name in live or value is stop.outputs[0]],
            [_tensor(value) for value in dict.fromkeys(stored)],
        )
        opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in self._model.opset_imports.items()]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return Session(model.SerializeToString(), optimise=False)


def _is_of_constants(node: ir.Node) -> bool:
    """Whether a node computes from constants alone, as a DequantizeLinear of weights does."""
    return bool(node.inputs) and all(value is None or constant(value) is not None for value in node.inputs)


def _described(value: ir.Value) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name_of(value), int(dtype_of(value)), shape_of(value))


def _tensor(value: ir.Value) -> onnx.TensorProto:
    assert value.const_value is not None
    tensor = ir.to_proto(value.const_value)
    tensor.name = name_of(value)
    return tensor
