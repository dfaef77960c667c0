"""Cases on their way through a hub, from layer to layer: what lies behind them is computed once.

Who changes layers one after another, each by what it gets once those before it are changed, would compute the start of
the hub again for every layer. Here the values that later nodes read wait at a layer, for each case. Where they would
take too much memory the cases wait further back, and more is computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import byte_size, constant, name_of
from edgefleet_compiler.hub.session import Session

Sample = Mapping[str, NDArray[Any]]

ROOM = 48 * 1024 * 1024
"""Bytes that the waiting values of all cases may take."""


class Passage:
    """Takes cases through a hub, each node as it stands, without fusing any.

    Args:
        model: Constants of nodes that were not passed yet may be changed between calls, and nothing else.
        samples: The cases; inputs that the hub reads.
        room: Bytes that waiting values may take.
    """

    def __init__(self, model: ir.Model, samples: Iterable[Sample], *, room: int = ROOM) -> None:
        self._model = model
        self._nodes = list(model.graph)
        self._cases: list[Sample] = list(samples)
        self._known = {name_of(value) for value in model.graph.inputs}
        self._room = room

    def values(self, wanted: ir.Value, before: ir.Node) -> Iterator[NDArray[Any]]:
        """A value in each case, in order; all of them must be taken before the next call.

        Args:
            wanted: The value.
            before: The layer to wait at: constants of it and of what comes after it may be changed afterwards. It
                stands behind that of the last call.
        """
        waiting = self._waiting(before)
        session = self._session([wanted, *(waiting or [])])
        for index, case in enumerate(self._cases):
            computed = {} if session is None else session.run({name: case[name] for name in session.inputs})
            if waiting is not None:
                self._cases[index] = {
                    name: computed[name] if name in computed else case[name] for name in map(name_of, waiting)
                }
            yield computed[name_of(wanted)] if name_of(wanted) in computed else case[name_of(wanted)]
        if waiting is not None:
            self._known = set(map(name_of, waiting))

    def _waiting(self, before: ir.Node) -> list[ir.Value] | None:
        """What nodes from a layer on read of those before it, as integers where it is stored so; None without room."""
        place = self._nodes.index(before)
        ahead = set(self._nodes[place:])
        read = (_stored(value) for node in self._nodes[place:] for value in node.inputs if value is not None)
        found = list(dict.fromkeys(each for each in read if constant(each) is None and each.producer() not in ahead))
        return found if len(self._cases) * sum(map(byte_size, found)) <= self._room else None

    def _session(self, wanted: Sequence[ir.Value]) -> Session | None:
        """Computes values from what the cases hold; None where they hold all of them."""
        outputs = [value for value in dict.fromkeys(wanted) if value.name not in self._known]
        if not outputs:
            return None
        nodes = self._between(outputs)
        read = dict.fromkeys(value for node in nodes for value in node.inputs if value is not None)
        constants = (value.const_value for value in read if constant(value) is not None)
        graph = onnx.GraphProto(
            name="passage",
            node=[ir.serde.serialize_node(node) for node in nodes],
            initializer=[ir.serde.serialize_tensor(tensor) for tensor in constants if tensor is not None],
            input=[ir.serde.serialize_value(value) for value in read if value.name in self._known],
            output=[ir.serde.serialize_value(value) for value in outputs],
        )
        opsets = [onnx.OperatorSetIdProto(domain=name, version=v) for name, v in self._model.opset_imports.items()]
        model = onnx.ModelProto(ir_version=self._model.ir_version, graph=graph, opset_import=opsets)
        return Session(model.SerializeToString(deterministic=True), optimise=False)

    def _between(self, outputs: Iterable[ir.Value]) -> list[ir.Node]:
        """The nodes that compute values from what the cases hold, in the order of the graph."""
        needed: set[ir.Node] = set()
        waiting = list(outputs)
        while waiting:
            value = waiting.pop()
            producer = value.producer()
            if producer is not None and producer not in needed and value.name not in self._known:
                needed.add(producer)
                waiting += [source for source in producer.inputs if source is not None]
        return [node for node in self._nodes if node in needed]


def _stored(value: ir.Value) -> ir.Value:
    """The integers that a DequantizeLinear makes reals of; other values, and those of computed scales, as they are."""
    producer = value.producer()
    if producer is None or producer.op_type != "DequantizeLinear" or producer.inputs[0] is None:
        return value
    if constant(producer.inputs[1]) is None:
        return value
    return producer.inputs[0]
