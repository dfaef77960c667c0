"""What lossless pruning took, as it stands in a report."""

from __future__ import annotations

import msgspec

from edgefleet_compiler.lossless.certificate import removed_channels
from edgefleet_compiler.lossless.intervals import DIALECTS
from edgefleet_compiler.lossless.prune import Pruned
from edgefleet_compiler.lossless.weighted import KINDS
from edgefleet_compiler.lowered.costs import macs, weights_bytes
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.lowered.memory import plan_memory

NOTHING = "found nothing to take: no channel could go with outputs proved the same"


class Size(msgspec.Struct, frozen=True):
    """What a graph costs.

    Attributes:
        bytes: Of its file.
        weights_bytes: Its constants.
        macs: Multiply-accumulates of one inference.
        activations_bytes: Its activations at their peak, without what a runtime takes beyond them.
    """

    bytes: int
    weights_bytes: int
    macs: int
    activations_bytes: int


class PrunedLayer(msgspec.Struct, frozen=True):
    """A layer that lost channels.

    Attributes:
        name: Of the source's node.
        operator: TFLite's.
        channels: How many it had.
        constant: How many always hold one value, which went into the biases of the layers that multiply it.
        unread: How many no operator that stays computes anything of.
    """

    name: str
    operator: str
    channels: int
    constant: int
    unread: int


class LosslessPruning(msgspec.Struct, frozen=True):
    """What lossless pruning took.

    Attributes:
        dialects: Where outputs are the same, bit for bit.
        effect: In words.
        before: With all channels, written as the artifact is.
        after: The artifact.
        layers: Those that lost channels, in execution order.
    """

    dialects: list[str]
    effect: str
    before: Size
    after: Size
    layers: list[PrunedLayer]


def lossless_pruning(pruned: Pruned) -> LosslessPruning:
    """What came of lossless pruning, for a report."""
    before, after = _size(pruned.whole, pruned.whole_data), _size(pruned.graph, pruned.data)
    layers = _layers(pruned)
    return LosslessPruning(
        dialects=[str(dialect) for dialect in DIALECTS],
        effect=_words(pruned, before, after) if layers else NOTHING,
        before=before,
        after=after,
        layers=layers,
    )


def _size(graph: LoweredGraph, data: bytes) -> Size:
    return Size(len(data), weights_bytes(graph), macs(graph), plan_memory(graph).peak_bytes)


def _layers(pruned: Pruned) -> list[PrunedLayer]:
    found = []
    for entry in removed_channels(pruned.whole, pruned.removal):
        operator = pruned.whole.operators[entry.operator]
        name = operator.source or operator.outputs[0]
        found.append(PrunedLayer(name, entry.kind, entry.channels, len(entry.constant), len(entry.unread)))
    return [layer for layer in found if layer.operator in KINDS]


def _words(pruned: Pruned, before: Size, after: Size) -> str:
    outputs = [operator.outputs[0] for operator in pruned.whole.operators if operator.kind in KINDS]
    total = sum(pruned.whole.tensors[name].shape[-1] for name in outputs)
    gone = sum(int((~pruned.removal.kept[name]).sum()) for name in outputs if name in pruned.removal.kept)
    return (
        f"took {gone:,} of {total:,} channels: {before.bytes:,} to {after.bytes:,} bytes, {before.macs:,} to "
        f"{after.macs:,} multiply-accumulates, outputs the same bit for bit"
    )
