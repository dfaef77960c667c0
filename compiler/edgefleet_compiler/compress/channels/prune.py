"""The step of a compression that takes channels away: which of each group, what makes up for them, and the cut."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.compress.channels.cut import cut
from edgefleet_compiler.compress.channels.groups import Group, Grouping, find_groups
from edgefleet_compiler.compress.channels.readers import read
from edgefleet_compiler.compress.channels.refit import refitted
from edgefleet_compiler.compress.channels.saliency import order_of
from edgefleet_compiler.compress.linear import Linear
from edgefleet_compiler.compress.settings import Pruning
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.layer_names import short_name
from edgefleet_compiler.tensors import Sample
from edgefleet_contract.errors import RecipeMalformed, RecipeUnfit

_NAMED = 5


def prune(hub: ir.Model, pruning: Pruning, cases: Sequence[Sample]) -> ir.Model:
    """A hub with fewer channels.

    Args:
        hub: Float, in hub normal form; it is not changed.
        pruning: How many stay of each group.
        cases: Typical inputs, a batch of one each; a hundred or more.

    Returns:
        A new hub in normal form; the very hub that was given where all channels stay.

    Raises:
        RecipeMalformed: A group is not there, or has not as many channels.
        RecipeUnfit: A group cannot lose as many.
    """
    grouping = find_groups(hub.graph)
    counts = {
        group.name: group.channels - keep for group, keep in _asked(grouping, pruning.keep) if keep < group.channels
    }
    if not counts:
        return hub
    groups = [group for group in grouping.groups if group.name in counts]
    readers = read(hub, groups, cases)
    gone = np.concatenate(
        [
            order_of(
                group, [readers[reader.node.name or ""] for reader in group.readers], grouping, pruning.saliency
            ).classes[: counts[group.name]]
            for group in groups
        ]
    )
    return without(hub, gone, cases if pruning.refit else ())


def without(hub: ir.Model, gone: NDArray[np.intp], cases: Sequence[Sample]) -> ir.Model:
    """A hub without some channels, the layers behind them refitted where there are cases.

    Args:
        hub: Float, in hub normal form; it is not changed.
        gone: Classes of its ``find_groups``.
        cases: Typical inputs.
    """
    copy = masked(hub, gone)
    if cases:
        refitted(hub, copy, find_groups(copy.graph), gone, cases)
    return cut(copy, gone.tolist())


def masked(hub: ir.Model, gone: NDArray[np.intp] | Sequence[int]) -> ir.Model:
    """A copy of a hub with zeros for all weights that read some channels: as if these were not there.

    Args:
        hub: Float, in hub normal form; it is not changed.
        gone: Classes of its ``find_groups``.
    """
    copy = hub.clone()
    editor = Editor(copy.graph)
    for layer in find_groups(copy.graph).layers:
        if layer.parts == 1 and np.isin(layer.reads, gone).any():
            linear = Linear(layer.node)
            matrices = linear.matrices()
            matrices[..., np.isin(layer.columns(linear.inputs), gone)] = 0.0
            linear.store(editor, matrices, None)
    return copy


def _asked(grouping: Grouping, keep: Mapping[str, int]) -> list[tuple[Group, int]]:
    """The groups that are named, each with what stays of it."""
    found = []
    for name, count in keep.items():
        group = grouping.group(name)
        if group is None:
            raise _unknown(name, grouping)
        if not 1 <= count <= group.channels:
            raise RecipeMalformed(
                f"The recipe keeps {count} channels of the group {short_name(name)!r}, which has {group.channels}",
                expected=_from_to(1, group.channels),
                group=name,
            )
        if count < group.least:
            what = "cannot be pruned" if group.least == group.channels else f"must keep {group.least} channels"
            raise RecipeUnfit(
                f"The group {short_name(name)!r} {what}: {group.reason}",
                expected=f"{_from_to(group.least, group.channels)} of its channels, not {count}",
                remedy="Take the group out of [compress.prune.keep].",
                group=name,
            )
        found.append((group, count))
    return found


def _from_to(least: int, most: int) -> str:
    return f"{least} to {most}" if least < most else str(most)


def _unknown(name: str, grouping: Grouping) -> RecipeMalformed:
    prunable = [group.name for group in grouping.groups if group.least < group.channels]
    near = difflib.get_close_matches(name, prunable, _NAMED, 0.5) or prunable[:_NAMED]
    return RecipeMalformed(
        f"The recipe prunes a group {name!r}, which the model does not have",
        expected=f"a group such as {', '.join(map(repr, near))}" if near else "no groups: the model has none to prune",
        group=name,
    )
