"""What a compression takes away, part by part and in all, and in words."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgefleet_compiler.compress.channels.groups import find_groups
from edgefleet_compiler.compress.low_rank.check import checked, full_ranks
from edgefleet_compiler.compress.low_rank.costs import weights_of
from edgefleet_compiler.compress.record import Amount, CompressionRecord, FactoredLayer, PrunedGroup
from edgefleet_compiler.compress.settings import Compression
from edgefleet_compiler.hub.graph import products

Taken = PrunedGroup | FactoredLayer


def pruned_groups(hub: ir.Model, compression: Compression) -> list[Taken]:
    """The groups of a hub that lose channels."""
    grouping = find_groups(hub.graph)
    keep = {} if compression.prune is None else compression.prune.keep
    named = [(group, keep[name]) for name in keep if (group := grouping.group(name)) is not None]
    return [PrunedGroup(group.name, group.channels, count) for group, count in named if count < group.channels]


def factored_layers(hub: ir.Model, compression: Compression) -> list[Taken]:
    """The layers of a hub that are factored."""
    factors = checked(hub.graph, compression.low_rank)
    return [
        FactoredLayer(node.name or "", each.kind, list(full_ranks(node, each.kind)), list(each.ranks))
        for node in hub.graph
        if (each := factors.get(node.name or "")) is not None
    ]


def compression_record(
    before: ir.Model, after: ir.Model, taken: Sequence[Taken], compression: Compression
) -> CompressionRecord:
    """What came of a compression, for a report."""
    groups = [each for each in taken if isinstance(each, PrunedGroup)]
    layers = [each for each in taken if isinstance(each, FactoredLayer)]
    trained = compression.finetune is not None
    amounts = _amount(before), _amount(after)
    done = ", ".join(filter(None, [_pruning(groups), _low_rank(layers), "weights were fine-tuned" if trained else ""]))
    return CompressionRecord(f"{done or 'nothing was taken'}: {_change(*amounts)}", *amounts, groups, layers, trained)


def counted(count: int, noun: str) -> str:
    """A number with its noun: ``1 group``, ``2 groups``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _amount(hub: ir.Model) -> Amount:
    return Amount(products(hub.graph), weights_of(hub.graph))


def _pruning(groups: Sequence[PrunedGroup]) -> str:
    before, after = sum(group.channels_before for group in groups), sum(group.channels_after for group in groups)
    if not groups:
        return ""
    return f"pruning took {before - after:,} of {counted(before, 'channel')} in {counted(len(groups), 'group')}"


def _low_rank(layers: Sequence[FactoredLayer]) -> str:
    return f"low ranks took the place of {counted(len(layers), 'layer')}" if layers else ""


def _change(before: Amount, after: Amount) -> str:
    if before == after:
        return f"{before.macs:,} multiply-accumulates and {before.weights:,} weights as before"
    return (
        f"{before.macs:,} to {after.macs:,} multiply-accumulates, {before.weights:,} to {after.weights:,} weights "
        "before quantising"
    )
