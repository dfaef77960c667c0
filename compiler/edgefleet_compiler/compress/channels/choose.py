"""Choosing how many channels of each group go, by what that does to the outputs and what it saves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.compress.channels.costs import Cost, Left, Resource, cost_of
from edgefleet_compiler.compress.channels.groups import Group, find_groups
from edgefleet_compiler.compress.channels.prune import prune
from edgefleet_compiler.compress.channels.sensitivity import curves
from edgefleet_compiler.compress.ratio import most_to_ask, share_of
from edgefleet_compiler.compress.settings import Pruning, Saliency
from edgefleet_compiler.progress import Progress, Silent
from edgefleet_compiler.quantise.search.reference import Reference
from edgefleet_compiler.tensors import Sample
from edgefleet_contract.errors import RecipeUnfit

_JUDGES = 64
"""Cases that the noise in the outputs is measured on."""

_NAMED = 3
"""Groups whose reasons are told where nothing can go."""

_USUAL_POWER = 0.75
_POWERS = (1.0, _USUAL_POWER, 0.5)
"""Losses of groups do not quite add up: these powers of them are added, and the result that does best is taken."""


def choose_channels(
    hub: ir.Model,
    cases: Sequence[Sample],
    ratio: float,
    by: Resource = "macs",
    *,
    saliency: Saliency = "second-order",
    progress: Progress | None = None,
) -> Pruning:
    """Which channels to take away for a share of what a model costs.

    Args:
        hub: Float, in hub normal form.
        cases: Typical inputs, a batch of one each; a hundred or more. Half of them judge.
        ratio: The share that is to go, above 0 and below 1.
        by: Of what: the multiply-accumulates, or the bytes of the weights, of all layers with constant weights; or the
            activations that are alive at once.
        saliency: By what channels of a group are ranked.
        progress: Told of what takes long.

    Returns:
        A pruning with the least noise in the outputs that was found; it saves at least the ratio.

    Raises:
        RecipeUnfit: What can be pruned does not save as much.
    """
    chooser = ChannelChooser(hub, cases, saliency=saliency, progress=progress)
    return chooser.choose(ratio, by)


class ChannelChooser:
    """Chooses channels of one model for any number of ratios; curves are measured once.

    Args:
        hub: Float, in hub normal form.
        cases: Typical inputs, a batch of one each; a hundred or more. Half of them judge.
        saliency: By what channels of a group are ranked.
        progress: Told of what takes long.
    """

    def __init__(
        self,
        hub: ir.Model,
        cases: Sequence[Sample],
        *,
        saliency: Saliency = "second-order",
        progress: Progress | None = None,
    ) -> None:
        self._hub = hub
        self._saliency = saliency
        self._progress = progress or Silent()
        alone = len(cases) < 2  # nothing can be held back of a single case
        self._made_by = cases if alone else cases[1::2]
        judges = cases if alone else cases[::2]
        self._judges = judges[:: max(1, len(judges) // _JUDGES)]
        self._grouping = find_groups(hub.graph)
        count = sum(group.least < group.channels for group in self._grouping.groups)
        self._progress.stage("measuring what channels do to the output", count)
        self._curves = curves(hub, self._made_by, self._judges, saliency, self._progress.advance)

    def choose(self, ratio: float, by: Resource = "macs") -> Pruning:
        """The pruning for a ratio, as ``choose_channels``.

        Raises:
            RecipeUnfit: What can be pruned does not save as much.
        """
        cost = cost_of(self._grouping, by)
        everything = cost(self._left([0] * len(self._curves)))
        limit = everything - share_of(ratio, everything)
        least = cost(self._left([len(curve.order) for curve in self._curves]))
        if not self._curves or least > limit:
            raise self._unfit(ratio, most_to_ask(everything - least, everything), by)
        self._progress.stage("choosing channels", len(_POWERS))
        prunings = list(dict.fromkeys(map(_frozen, (self._spent(cost, limit, power) for power in _POWERS))))
        options = [self._pruning(gone) for gone in prunings]
        if len(options) == 1:
            return options[0]
        reference = Reference(self._hub, self._judges)
        noises = []
        for option in options:
            noises.append(reference.noise_of(prune(self._hub, option, self._made_by)))
            self._progress.advance()
        return options[int(np.argmin(noises))]

    def by_strength(self, by: Resource) -> list[Pruning]:
        """All prunings on the way from one channel gone to as many as can go; each saves more than those before."""
        cost = cost_of(self._grouping, by)
        return [self._pruning(gone) for gone in self._steps(cost, _USUAL_POWER)][1:]

    def _spent(self, cost: Cost, limit: Fraction, power: float) -> list[int]:
        """Channels gone of each group, as many as bring the cost to a limit."""
        return next(gone for gone in self._steps(cost, power) if cost(self._left(gone)) <= limit)

    def _steps(self, cost: Cost, power: float) -> Iterator[list[int]]:
        """Channels gone of each group: one step after the other, that which adds least for what it saves.

        A step goes to where the curve, as seen from here, is flattest.
        """
        losses = [curve.noise**power for curve in self._curves]
        gone = [0] * len(losses)
        most = [len(loss) - 1 for loss in losses]
        present = cost(self._left(gone))
        yield gone
        while gone != most:
            best, chosen = np.inf, gone
            for place, loss in enumerate(losses):
                step = _flattest(loss, gone[place])
                if step is None:
                    continue
                tried = [*gone[:place], step, *gone[place + 1 :]]
                saved = (present - cost(self._left(tried))) / (step - gone[place])
                price = (loss[step] - loss[gone[place]]) / (step - gone[place]) / max(saved, 1e-9)
                if price < best:
                    # One channel at a time: what a channel saves changes with every other that goes.
                    best, chosen = price, [*gone[:place], gone[place] + 1, *gone[place + 1 :]]
            gone, present = chosen, cost(self._left(chosen))
            yield gone

    def _left(self, gone: Sequence[int]) -> Left:
        highest = max((int(known.classes.max()) for known in self._grouping.values.values()), default=0)
        left = np.ones(highest + 1, np.bool_)
        for curve, count in zip(self._curves, gone, strict=True):
            left[curve.order[:count]] = False
        return left

    def _pruning(self, gone: Sequence[int]) -> Pruning:
        keep = {
            curve.group.name: curve.group.channels - count
            for curve, count in zip(self._curves, gone, strict=True)
            if count
        }
        return Pruning(saliency=self._saliency, keep=keep)

    def _unfit(self, ratio: float, most: float, by: Resource) -> RecipeUnfit:
        words = {"macs": "multiply-accumulates", "bytes": "bytes of weights", "peak": "memory of activations"}[by]
        held = [group for group in self._grouping.groups if group.reason]
        if not most:
            reasons = [_why_held(group) for group in held[:_NAMED]]
            reasons += [f"and {len(held) - _NAMED} more"] if len(held) > _NAMED else []
            why = "; ".join(reasons) or "it has no convolution or fully connected layer that others read"
            return RecipeUnfit(
                f"Nothing of the {words} can be pruned: {why}",
                expected="layers with weights whose channels only other such layers read",
                remedy="Leave --prune out; 4-bit weights may still make the model smaller.",
            )
        why = f"; {_why_held(held[0])}" if held else ""
        return RecipeUnfit(
            f"Pruning cannot take away {ratio} of the {words}: {most} is the most, with one channel left of each group "
            f"that can be pruned{why}",
            expected=f"a ratio of at most {most}",
            remedy="Ask for less with --prune.",
        )


def _why_held(group: Group) -> str:
    """Which channels of a group must stay, and why."""
    whole = group.least == group.channels
    held = "cannot lose channels" if whole else f"must keep {group.least} of its {group.channels} channels"
    return f"{group.name!r} {held}: {group.reason}"


def _flattest(loss: NDArray[np.float64], start: int) -> int | None:
    """Where the line from a point of a curve to a later one rises least; the nearest of these."""
    if start + 1 >= len(loss):
        return None
    slopes = (loss[start + 1 :] - loss[start]) / np.arange(1, len(loss) - start)
    return start + 1 + int(np.argmin(slopes))


def _frozen(gone: list[int]) -> tuple[int, ...]:
    return tuple(gone)
