"""The nodes of a layer's chain, in the place of the layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.compress.linear import Linear
from edgefleet_compiler.compress.low_rank.algebra import Matrix
from edgefleet_compiler.compress.low_rank.words import Factors
from edgefleet_compiler.hub.editor import AttributeValue, Editor
from edgefleet_compiler.hub.graph import constant, integers, name_of, shape_of
from edgefleet_compiler.quantise.rounding.layer import Layer


@dataclass(frozen=True)
class Parts:
    """A chain of nodes, whose weights are still to be given.

    Attributes:
        nodes: In the order in which they are applied. The last has the name, the output and the bias of the layer.
    """

    nodes: tuple[ir.Node, ...]

    def store(self, matrices: Sequence[Matrix]) -> None:
        """Give weights, a matrix for each node."""
        for node, matrix in zip(self.nodes, matrices, strict=True):
            store(node, matrix[np.newaxis])


def store(node: ir.Node, matrices: Matrix) -> None:
    """Give a node other weights: matrices as ``quantise.rounding.layer`` has them."""
    value = node.inputs[1]
    assert value is not None
    value.const_value = ir.Tensor(Linear(node).weights(matrices), name=name_of(value))


def split(editor: Editor, node: ir.Node, factors: Factors) -> Parts:
    """Put a chain in the place of a layer, with weights that are all zero, and a bias where the layer can have one."""
    if node.op_type != "Conv":
        return _fully_connected(editor, node, *factors.ranks)
    whole = (True,) * (len(shape_of(node.outputs[0])) - 2)
    none = (False,) * len(whole)
    match factors.kind:
        case "svd":
            return _convolutions(editor, node, factors.ranks, (whole, none))
        case "spatial":
            return _convolutions(editor, node, factors.ranks, ((True, False), (False, True)))
        case "tucker":
            return _convolutions(editor, node, factors.ranks, (none, whole, none))


def _fully_connected(editor: Editor, node: ir.Node, rank: int) -> Parts:
    source, weights = node.inputs[0], constant(node.inputs[1])
    assert source is not None
    assert weights is not None
    layer = Layer(node, weights.shape)
    attributes = {"transB": 1} if node.op_type == "Gemm" else {}

    def zeros(outputs: int, inputs: int) -> ir.Value:
        shape = (outputs, inputs) if layer.channel_axis == 0 else (inputs, outputs)
        return editor.constant(np.zeros(shape, np.float32), f"{node.name}/weights")

    between = editor.node(
        node.op_type,
        [source, zeros(rank, layer.inputs)],
        name=f"{node.name}/rank",
        shape=(*shape_of(source)[:-1], rank),
        attributes=attributes,
        before=node,
    )
    bias = [_bias(editor, node, layer.channels)] if node.op_type == "Gemm" else []
    last = editor.rewrite(node, node.op_type, [between, zeros(layer.channels, rank), *bias], attributes).producer()
    return _parts(between.producer(), last)


def _convolutions(editor: Editor, node: ir.Node, ranks: Sequence[int], axes: Sequence[tuple[bool, ...]]) -> Parts:
    """A chain of convolutions.

    Args:
        editor: Of the graph.
        node: The layer.
        ranks: Channels between them.
        axes: For each, which axes of the kernel it has: on these it has the layer's strides and pads, too.
    """
    value, weights = node.inputs[0], constant(node.inputs[1])
    assert value is not None
    assert weights is not None
    size, wanted = list(shape_of(value)[2:]), shape_of(node.outputs[0])[2:]
    channels = [weights.shape[1], *ranks, len(weights)]
    chain = []
    for number, own in enumerate(axes):
        size = [there if is_own else here for here, there, is_own in zip(size, wanted, own, strict=True)]
        kernel = [length if is_own else 1 for length, is_own in zip(weights.shape[2:], own, strict=True)]
        shape = (channels[number + 1], channels[number], *kernel)
        zeros = editor.constant(np.zeros(shape, np.float32), f"{node.name}/weights")
        attributes = _window(node, kernel, own)
        if number == len(ranks):
            bias = _bias(editor, node, len(weights))
            value = editor.rewrite(node, "Conv", [value, zeros, bias], attributes)
        else:
            shape = (shape_of(value)[0], ranks[number], *size)
            name = f"{node.name}/rank"
            value = editor.node("Conv", [value, zeros], name=name, shape=shape, attributes=attributes, before=node)
        chain.append(value.producer())
    return _parts(*chain)


def _window(node: ir.Node, kernel: Sequence[int], own: Sequence[bool]) -> dict[str, AttributeValue]:
    """Attributes of a convolution that moves as the layer does on its own axes, and not at all on the others."""

    def of(name: str, usual: int, times: int = 1) -> list[int]:
        given = integers(node, name) or (usual,) * (len(own) * times)
        return [number if is_own else usual for number, is_own in zip(given, [*own] * times, strict=True)]

    return {
        "kernel_shape": list(kernel),
        "strides": of("strides", 1),
        "pads": of("pads", 0, times=2),
        "dilations": of("dilations", 1),
        "group": 1,
    }


def _bias(editor: Editor, node: ir.Node, channels: int) -> ir.Value:
    """The layer's own, or zeros; nobody else's, since it will be changed."""
    given = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    return editor.constant(np.zeros(channels, np.float32) if given is None else given, f"{node.name}/bias")


def _parts(*nodes: ir.Node | None) -> Parts:
    return Parts(tuple(node for node in nodes if node is not None))
