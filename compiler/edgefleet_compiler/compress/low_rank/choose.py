"""Choosing which layers are factored, how and how far, by what that does to the outputs and what it saves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Literal

import onnx_ir as ir

from edgefleet_compiler.compress.low_rank.costs import Cost, weights_of
from edgefleet_compiler.compress.low_rank.sensitivity import Option, candidates, measure_options
from edgefleet_compiler.compress.ratio import most_to_ask, share_of
from edgefleet_compiler.hub.graph import products
from edgefleet_compiler.progress import Progress, Silent
from edgefleet_compiler.tensors import Sample
from edgefleet_contract.errors import RecipeUnfit

Resource = Literal["macs", "bytes"]
"""macs: multiply-accumulates of an inference; bytes: of the weights, as many in int8 as there are."""

_JUDGES = 32
"""Cases that the noise in the outputs is measured on."""


def choose_ranks(
    hub: ir.Model,
    cases: Sequence[Sample],
    ratio: float,
    by: Resource = "bytes",
    *,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Which layers to factor for a share of what a model costs.

    Args:
        hub: Float, in hub normal form; it is not changed.
        cases: Typical inputs, a batch of one each; a hundred or more. Half of them judge.
        ratio: The share that is to go, above 0 and below 1.
        by: Of what: the multiply-accumulates, or the bytes of the weights, of all layers with constant weights.
        progress: Told of what takes long.

    Returns:
        Factors in a recipe's words, by layer; they save at least the ratio.

    Raises:
        RecipeUnfit: Low ranks do not save as much.
    """
    return RankChooser(hub, cases, progress=progress).choose(ratio, by)


class RankChooser:
    """Chooses ranks of one model for any number of ratios; options are measured once.

    Args:
        hub: Float, in hub normal form; it is not changed.
        cases: Typical inputs, a batch of one each; a hundred or more. Half of them judge.
        progress: Told of what takes long.

    Attributes:
        options: What can be done with each layer; the first is to leave it as it is.
    """

    def __init__(self, hub: ir.Model, cases: Sequence[Sample], *, progress: Progress | None = None) -> None:
        progress = progress or Silent()
        alone = len(cases) < 2  # nothing can be held back of a single case
        made_by = cases if alone else cases[1::2]
        judges = cases if alone else cases[::2]
        progress.stage("measuring what low ranks do to the output", len(candidates(hub.graph)))
        self.options: Mapping[str, Sequence[Option]] = measure_options(
            hub, made_by, judges[:: -(-len(judges) // _JUDGES)], progress.advance
        )
        self._whole = Cost(weights_of(hub.graph), products(hub.graph))

    def choose(self, ratio: float, by: Resource = "bytes") -> dict[str, str]:
        """The ranks for a ratio, as ``choose_ranks``.

        Raises:
            RecipeUnfit: Low ranks do not save as much.
        """
        everything, saved = _of(self._whole, by), self._saved(by)
        wanted = share_of(ratio, everything)
        if wanted > saved:
            raise _unfit(ratio, most_to_ask(saved, everything), by)
        chosen = self._spent(wanted, lambda option: _of(option.cost, by))
        return {layer: str(option.factors) for layer, option in chosen.items() if option.factors is not None}

    def most(self, by: Resource = "bytes") -> float:
        """The largest ratio that low ranks save."""
        return self._saved(by) / max(_of(self._whole, by), 1)

    def _saved(self, by: Resource) -> int:
        """What the lowest ranks save."""
        return sum(
            max(_of(options[0].cost, by) - _of(each.cost, by) for each in options) for options in self.options.values()
        )

    def _spent(self, wanted: Fraction, price: Callable[[Option], int]) -> dict[str, Option]:
        """An option of each layer: one step after the other, that which adds the least noise for what it saves.

        The last step saves more than is wanted: what it saves too much goes to the layers that gain most by it.
        """
        chosen = {layer: options[0] for layer, options in self.options.items()}
        missing = wanted
        while missing > 0:
            layer, option = min(
                (
                    (layer, option)
                    for layer, options in self.options.items()
                    for option in options
                    if price(option) < price(chosen[layer])
                ),
                key=lambda step: _slope(chosen[step[0]], step[1], price),
            )
            missing -= price(chosen[layer]) - price(option)
            chosen[layer] = option
        while True:
            better = [
                (chosen[layer].noise - option.noise, layer, option)
                for layer, options in self.options.items()
                for option in options
                if option.noise < chosen[layer].noise and price(option) - price(chosen[layer]) <= -missing
            ]
            if not better:
                return chosen
            _, layer, option = max(better, key=lambda each: each[0])
            missing += price(option) - price(chosen[layer])
            chosen[layer] = option


def _slope(present: Option, option: Option, price: Callable[[Option], int]) -> float:
    """Noise that an option adds, for each unit that it saves."""
    return (option.noise - present.noise) / (price(present) - price(option))


def _of(cost: Cost, by: Resource) -> int:
    return cost.weights if by == "bytes" else cost.macs


def _unfit(ratio: float, most: float, by: Resource) -> RecipeUnfit:
    words = {"macs": "multiply-accumulates", "bytes": "bytes of weights"}[by]
    if not most:
        return RecipeUnfit(
            f"Low ranks take none of the {words} away: no layer can be a chain of smaller ones",
            expected="a Conv without groups, a Gemm or a MatMul with constant weights of its own, and large enough",
        )
    return RecipeUnfit(
        f"Low ranks cannot take away {ratio} of the {words}: {most} is the most",
        expected=f"a ratio of at most {most}",
        remedy="Ask for less, or prune channels, too.",
    )
