"""Sensitivity curves: what the loss of channels of one group alone does to the outputs of the model.

The layers that read the group make up for the loss as ``elimination`` says; all others stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.compress.channels.groups import Group, find_groups
from edgefleet_compiler.compress.channels.readers import read
from edgefleet_compiler.compress.channels.saliency import Order, order_of
from edgefleet_compiler.compress.linear import Linear
from edgefleet_compiler.compress.settings import Saliency
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import name_of
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.quantise.channel_rules import given
from edgefleet_compiler.quantise.search.reference import Reference, watching
from edgefleet_compiler.tensors import Sample

_SHARES = (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8)
"""Of the channels of a group, gone where its curve is measured."""

_LOST = 2.0
"""Noise, as power over that of the signal, beyond which outputs tell nothing, and no more is measured."""


@dataclass(frozen=True)
class Curve:
    """Of one group.

    Attributes:
        group: The group.
        order: In which its channels go.
        noise: In the outputs, power over that of the signal, with as many channels gone as the place says; never
            falls; shape (channels that may go + 1,).
    """

    group: Group
    order: NDArray[np.intp]
    noise: NDArray[np.float64]


def curves(
    hub: ir.Model,
    made_by: Sequence[Sample],
    judged_by: Sequence[Sample],
    saliency: Saliency,
    on_group: Callable[[], None] = lambda: None,
) -> list[Curve]:
    """The curves of all groups that can be pruned.

    Args:
        hub: Float, in hub normal form; it is not changed.
        made_by: Typical inputs that weights make up by.
        judged_by: Other ones that noise is measured on.
        saliency: By what channels are ranked.
        on_group: Called after each group.
    """
    grouping = find_groups(hub.graph)
    groups = [group for group in grouping.groups if group.least < group.channels]
    readers = read(hub, groups, made_by)
    reference = Reference(hub, judged_by)
    trial = _Trial(hub, reference, groups)
    found = []
    for group in groups:
        counts = _counts(group)
        own = [readers[reader.node.name or ""] for reader in group.readers]
        order = order_of(group, own, grouping, saliency, counts)
        found.append(Curve(group, order.classes, trial.curve(group, order, counts)))
        on_group()
    return found


def _counts(group: Group) -> list[int]:
    most = group.channels - group.least
    return sorted({count for share in _SHARES if 0 < (count := round(group.channels * share)) <= most})


class _Trial:
    """The model with the weights of the readers as inputs."""

    def __init__(self, hub: ir.Model, reference: Reference, groups: Sequence[Group]) -> None:
        self._reference = reference
        copy = watching(hub.clone(), reference.watched)
        editor = Editor(copy.graph)
        self._linears: dict[str, Linear] = {}
        self._feeds: dict[str, NDArray[Any]] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        wanted = {reader.node.name for group in groups for reader in group.readers}
        for weighted in find_groups(copy.graph).layers:
            if weighted.node.name in wanted:
                self._open(editor, Linear(weighted.node))
        self._session = Session(copy, optimise=False)

    def curve(self, group: Group, order: Order, counts: Sequence[int]) -> NDArray[np.float64]:
        """The noise by the number of channels gone, measured at some and interpolated between."""
        places, noises = [0], [0.0]
        for count in counts:
            places.append(count)
            noises.append(max(self._noise(group, order.weights[count]), noises[-1]))
            if noises[-1] > _LOST:
                break
        most = len(order.classes)
        if places[-1] < most:  # what was not measured goes on as steeply as the worst that was
            slope = max(np.diff(noises) / np.diff(places), default=0.0)
            noises.append(noises[-1] + max(slope, 1 / most) * (most - places[-1]))
            places.append(most)
        return np.interp(np.arange(most + 1), places, noises)

    def _open(self, editor: Editor, linear: Linear) -> None:
        """Make inputs of the constants of a layer."""
        linear.store(editor, linear.matrices(), linear.biases())
        values = [given(linear.node, index) for index in range(1, 3 if linear.takes_bias else 2)]
        name = linear.node.name or ""
        self._linears[name] = linear
        self._names[name] = tuple(map(name_of, values))
        for value in values:
            assert value.const_value is not None
            self._feeds[name_of(value)] = value.const_value.numpy()
            editor.graph.inputs.append(value)

    def _noise(self, group: Group, weights: Sequence[NDArray[np.float64]]) -> float:
        feeds = dict(self._feeds)
        for reader, both in zip(group.readers, weights, strict=True):
            name = reader.node.name or ""
            arrays = self._linears[name].weights(both[np.newaxis, :, :-1]), both[:, -1].astype(np.float32)
            feeds |= dict(zip(self._names[name], arrays, strict=False))  # a MatMul has no bias
        return self._reference.measure(self._reference.run(self._session, feeds), {}).noise
