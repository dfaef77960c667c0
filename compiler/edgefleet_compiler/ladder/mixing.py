"""Mixed precision for a rung: the layers that cost the output most compute in more than eight bits."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
from msgspec.structs import replace

from edgefleet_compiler.hub.graph import byte_size, constant, result_of
from edgefleet_compiler.hub.operators import SIXTEEN_BITS
from edgefleet_compiler.quantise.calibrate import Ranges
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.masks import masked_nodes
from edgefleet_compiler.quantise.operators import CLIPPING, MOVING
from edgefleet_compiler.quantise.search.mixed import Option, mix
from edgefleet_compiler.quantise.search.reference import Reference
from edgefleet_compiler.quantise.search.sensitivity import LayerNoise, measure_sensitivity
from edgefleet_compiler.quantise.settings import Compute, LayerSettings, Settings
from edgefleet_compiler.recipe import Io
from edgefleet_compiler.tensors import Sample

_EIGHT = LayerSettings()
_REAL_BYTES = 4
_ALONG = MOVING | CLIPPING  # what comes behind a layer, and stores its output as it does
_WORTH_IT = 0.8  # of the noise, 1 dB less: not worth a rung otherwise
_BYTES: dict[Compute, int] = {"int8": 1, "int16": 2, "float": _REAL_BYTES}


class Mixer:
    """Knows what each layer of a hub does to the outputs in eight bits, and what it would do in more.

    Args:
        hub: The float hub that is quantised.
        ranges: Of its activations.
        settings: How it is quantised where nothing is mixed.
        samples: Some dozens of typical cases.
        wider: What layers compute in instead of int8: float, or int16 where a target runs integers alone.
        io: Of the artifact; with int8 inputs and outputs the layers at the border stay as they are.
    """

    def __init__(
        self, hub: ir.Model, ranges: Ranges, settings: Settings, samples: Sequence[Sample], wider: Compute, io: Io
    ) -> None:
        measured = measure_sensitivity(hub, quantise(hub, ranges, settings), Reference(hub, samples), leave_out=False)
        nodes = {node.name or "": node for node in hub.graph}
        self._settings = settings
        masked = masked_nodes(hub.graph) if wider == "int16" else set()  # they stay in float, whatever is asked
        free = {
            name for name, node in nodes.items() if node not in masked and (io == "float" or not _is_at_border(node))
        }
        self._options = {
            layer.name: _options(layer, nodes[layer.name], wider if layer.name in free else None)
            for layer in measured.layers
        }
        self._given: list[dict[str, LayerSettings]] = []
        self._noise = sum(layer.alone for layer in measured.layers)

    def settings(self, gain_db: float) -> Settings | None:
        """Settings with which the layers make less noise, at the least traffic of bytes.

        Args:
            gain_db: By how much the signal to noise ratio is to rise, as far as it hangs on layers.

        Returns:
            As near as wider layers come to that; None where they bring nothing, or no more than for the gain before.
        """
        found = mix(self._options, least="cost", bound=self._noise * 10 ** (-gain_db / 10))
        layers = {name: settings for name, settings in found.layers.items() if settings != _EIGHT}
        if found.noise > self._noise * _WORTH_IT or layers in self._given:
            return None
        self._given.append(layers)
        return replace(self._settings, layers={**self._settings.layers, **layers})


def _is_at_border(node: ir.Node) -> bool:
    """Whether a node takes an input of the model or gives an output, be it through nodes that only move elements."""
    before, after = list(node.inputs), list(node.outputs)
    for value in before:
        producer = None if value is None else value.producer()
        if value is not None and value.is_graph_input():
            return True
        if producer is not None and producer.op_type in MOVING:
            before.append(producer.inputs[0])
    for value in after:
        if value.is_graph_output():
            return True
        after += [moved for consumer in value.consumers() if consumer.op_type in _ALONG for moved in consumer.outputs]
    return False


def _options(layer: LayerNoise, node: ir.Node, wider: Compute | None) -> list[Option]:
    """Eight bits; and more, where the operator has such a form: in float no noise, in 16 bits that of the weights."""
    options = [Option(_EIGHT, layer.alone, _traffic(node, "int8"))]
    if wider is not None and (wider == "float" or node.op_type in SIXTEEN_BITS):
        noise = 0.0 if wider == "float" else layer.weights
        options.append(Option(LayerSettings(compute=wider), noise, _traffic(node, wider)))
    return options


def _traffic(node: ir.Node, compute: Compute) -> float:
    """The bytes that an inference moves for a layer: its constants, and what it gives.

    Bytes of the file alone would let every layer without constants compute in more bits for nothing.
    """
    constants = sum(byte_size(value) for value in node.inputs if value is not None and constant(value) is not None)
    stored = constants if compute == "float" else constants / _REAL_BYTES
    return stored + byte_size(result_of(node)) / _REAL_BYTES * _BYTES[compute]
