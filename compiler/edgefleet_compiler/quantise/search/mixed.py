"""Mixed precision: one option for each layer, by an integer programme.

Each option adds so much noise to the model's outputs, measured with the layer alone (``sensitivity``), and costs so
much: bytes, or time. The least cost is looked for with noise within a bound, or the least noise with cost within one.

Source: HAWQ-V3, Yao et al. 2021, arXiv:2011.10680, section 3.4, equation 12, with the outputs' measured noise in the
place of its second-order figure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.quantise.search.programme import least_choice
from edgefleet_compiler.quantise.search.sensitivity import Sensitivity
from edgefleet_compiler.quantise.settings import LayerSettings

Goal = Literal["cost", "noise"]

_SLACK = 1e-9
"""By which share a bound may be passed: what sums of floats in another order differ by."""


@dataclass(frozen=True)
class Option:
    """What can be done with a layer.

    Attributes:
        settings: In a recipe's words.
        noise: That it adds to the outputs, over the power of the signal; at least 0.
        cost: In any unit, the same for all layers; at least 0.
    """

    settings: LayerSettings
    noise: float
    cost: float


Options = Mapping[str, Sequence[Option]]
"""By layer; at least one each."""


@dataclass(frozen=True)
class Mix:
    """One option for each layer.

    Attributes:
        layers: Settings by layer, as a recipe has them.
        noise: Of all layers.
        cost: Of all layers.
        within: Whether the bound is kept; where no mix keeps it, this is the one that comes nearest.
    """

    layers: dict[str, LayerSettings]
    noise: float
    cost: float
    within: bool


def options_of(
    measured: Mapping[LayerSettings, Sensitivity], cost: Callable[[str, LayerSettings], float]
) -> dict[str, list[Option]]:
    """Options from measurements.

    Args:
        measured: What each layer does to the outputs in a hub all of which is quantised so. A layer that does nothing
            there, say because it stays float, adds no noise.
        cost: What a layer costs with such settings.
    """
    names = dict.fromkeys(layer.name for sensitivity in measured.values() for layer in sensitivity.layers)
    noises = {
        settings: {layer.name: layer.alone for layer in sensitivity.layers}
        for settings, sensitivity in measured.items()
    }
    return {
        name: [Option(settings, by_layer.get(name, 0.0), cost(name, settings)) for settings, by_layer in noises.items()]
        for name in names
    }


def mix(options: Options, *, least: Goal, bound: float) -> Mix:
    """The best mix.

    Args:
        options: Of every layer.
        least: What is to be least; the other is bounded.
        bound: Of the sum over all layers.
    """
    rows = [_worth_having(choices, least) for choices in options.values()]
    if not rows:
        return Mix({}, 0.0, 0.0, bound >= 0)
    nearest = [min(row, key=lambda option: _other(option, least)) for row in rows]
    chosen, within = nearest, False
    if sum(_other(option, least) for option in nearest) <= bound * (1 + _SLACK):
        chosen, within = _solve(rows, least, bound) or nearest, True
    return Mix(
        {name: option.settings for name, option in zip(options, chosen, strict=True)},
        sum(option.noise for option in chosen),
        sum(option.cost for option in chosen),
        within,
    )


def _worth_having(choices: Iterable[Option], least: Goal) -> list[Option]:
    """The options than which no other is better in both respects."""
    kept: list[Option] = []
    for option in sorted(choices, key=lambda option: (_goal(option, least), _other(option, least))):
        if not kept or _other(option, least) < _other(kept[-1], least):
            kept.append(option)
    return kept


def _solve(rows: Sequence[Sequence[Option]], wanted: Goal, bound: float) -> list[Option] | None:
    """The integer programme: one binary variable an option, one of them set in each row."""
    from scipy.optimize import LinearConstraint  # noqa: PLC0415 - heavy, and few recipes need it
    from scipy.sparse import csr_array  # noqa: PLC0415 - as above

    flat = [option for row in rows for option in row]
    row_of = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    one_each = csr_array((np.ones(len(flat)), (row_of, np.arange(len(flat)))))
    # Scaled to 1, so that the solver's absolute tolerances mean the same for bytes and for noise.
    goal = _scaled(np.array([_goal(option, wanted) for option in flat]))
    bounded = np.array([_other(option, wanted) for option in flat])
    unit = bound if bound > 0 else 1.0
    chosen = least_choice(
        goal,
        [
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(bounded[None] / unit, -np.inf, bound / unit * (1 + _SLACK)),
        ],
    )
    if chosen is None:
        return None
    return [option for option, taken in zip(flat, chosen, strict=True) if taken]


def _scaled(array: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = float(np.abs(array).max())
    return array / largest if largest > 0 else array


def _goal(option: Option, least: Goal) -> float:
    return option.cost if least == "cost" else option.noise


def _other(option: Option, least: Goal) -> float:
    return option.noise if least == "cost" else option.cost
