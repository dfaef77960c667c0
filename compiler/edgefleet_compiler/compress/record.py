"""What came of a compression: the hub, and what it took away as that stands in a report."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import onnx_ir as ir

from edgefleet_compiler.passes.record import PassRecord


class Amount(msgspec.Struct, frozen=True):
    """What the layers with constant weights of a float hub cost.

    Attributes:
        macs: Multiply-accumulates of one inference.
        weights: Elements, without biases.
    """

    macs: int
    weights: int


class PrunedGroup(msgspec.Struct, frozen=True):
    """Layers that share channels, and lost some.

    Attributes:
        name: Of the first layer that writes them.
        channels_before: How many there were.
        channels_after: How many stay.
    """

    name: str
    channels_before: int
    channels_after: int


class FactoredLayer(msgspec.Struct, frozen=True):
    """A layer that became a chain of smaller ones.

    Attributes:
        name: Of the source's node.
        kind: How: svd, spatial or tucker.
        ranks_before: At which nothing would be lost.
        ranks_after: Channels between the layers of the chain, in order.
    """

    name: str
    kind: str
    ranks_before: list[int]
    ranks_after: list[int]


class CompressionRecord(msgspec.Struct, frozen=True):
    """What a recipe's table ``[compress]`` took away of the float model, before it was quantised.

    Attributes:
        effect: In words.
        before: The source.
        after: With all that done.
        groups: Those that lost channels, in the recipe's order.
        layers: Those that were factored, in the order of the graph.
        fine_tuned: Whether the weights that stay were trained on.
    """

    effect: str
    before: Amount
    after: Amount
    groups: list[PrunedGroup]
    layers: list[FactoredLayer]
    fine_tuned: bool


@dataclass(frozen=True)
class Compressed:
    """What came of a compression.

    Attributes:
        hub: Float, in hub normal form.
        passes: What was done, in order.
        record: What that took away; None where nothing was asked for.
    """

    hub: ir.Model
    passes: tuple[PassRecord, ...]
    record: CompressionRecord | None = None
