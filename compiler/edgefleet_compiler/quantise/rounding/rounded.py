"""The rounding step of the quantiser: integers of weights chosen by what they do to the outputs of their layers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.passage import Passage
from edgefleet_compiler.quantise.palettes.levels import choose_levels
from edgefleet_compiler.quantise.palettes.size import LEVELS
from edgefleet_compiler.quantise.rounding.adaptive import adaptive
from edgefleet_compiler.quantise.rounding.gram import CrossGram, Gram
from edgefleet_compiler.quantise.rounding.quadratic import Matrices
from edgefleet_compiler.quantise.rounding.scales import with_chosen_scales
from edgefleet_compiler.quantise.rounding.second_order import Levels, damped, second_order
from edgefleet_compiler.quantise.rounding.sites import Site, sites
from edgefleet_compiler.quantise.rounding.targets import target
from edgefleet_compiler.quantise.rounding.watch import Sample, input_of, watching
from edgefleet_compiler.quantise.saturation import LARGEST_PAIR, multiplies_pairs, product_order

Method = Callable[[Matrices, Matrices, Matrices, int, bool, Levels], Matrices]

Array = NDArray[Any]
Item = TypeVar("Item")

Progress = Callable[[int, int], None]
"""Told how many steps are done, and of how many."""


def rounded(
    float_hub: ir.Model,
    quantised_hub: ir.Model,
    samples: Sequence[Sample],
    rounding: Literal["second-order", "adaptive"],
    *,
    on_progress: Progress = lambda _done, _total: None,
    narrow_pairs: bool = False,
    palettes: Collection[str] = (),
) -> ir.Model:
    """A copy of a quantised hub whose weights are rounded anew.

    Scales stay, but for those of 4-bit weights with one for each channel (see ``scales``).

    Second-order rounding looks once at the inputs that all layers have in the quantised hub. Taking the layers in turn
    changes nothing by itself. Adaptive rounding does so in order that each makes up for the errors of those before it:
    on MLPerf Tiny's ic with weights of 4 bits, that takes half of the noise power off the output.

    Args:
        float_hub: In hub normal form, with the weights as they were; it is not changed.
        quantised_hub: The same with pairs or with weights behind DequantizeLinear; it is not changed.
        samples: Typical inputs, a batch of one each; 256 are plenty.
        rounding: How.
        on_progress: Called after each sample.
        narrow_pairs: Keep neighbouring weights together within 16 bits; see ``saturation``.
        palettes: Names of the layers whose weights are of a palette, which is chosen anew.

    Returns:
        The copy. Weights that several layers share, and stacks of matrices, are as they were.
    """
    copy = quantised_hub.clone()
    found = list(sites(float_hub, copy, palettes))
    if not found:
        return copy
    if rounding == "second-order":
        counted = _counted(samples, on_progress, 0, len(samples))
        for site, gram in zip(found, _grams(copy, found, counted), strict=True):
            _round(site, site.weights, gram, second_order, narrow_pairs)
        return copy
    passages = Passage(float_hub, samples), Passage(copy, samples)
    for number, site in enumerate(found):
        inputs = _inputs(*passages, site)
        gram, wanted = _seen(site, _counted(inputs, on_progress, number * len(samples), len(found) * len(samples)))
        _round(site, wanted, gram, adaptive, narrow_pairs)
    return copy


def _counted(items: Iterable[Item], on_progress: Progress, before: int, total: int) -> Iterator[Item]:
    """Items, one a case, each told of when the next is asked for."""
    for done, item in enumerate(items, start=before + 1):
        yield item
        on_progress(done, total)


def _grams(model: ir.Model, found: Sequence[Site], samples: Iterable[Sample]) -> list[Matrices]:
    """The Gram matrices of the inputs that layers have."""
    inputs = [input_of(site.node) for site in found]
    grams = [Gram(site.layer) for site in found]
    compute = watching(model, [entry.name for entry in inputs])
    for sample in samples:
        values = compute(sample)
        for entry, gram in zip(inputs, grams, strict=True):
            entry.give(values[entry.name], gram)
    return [gram.matrices() for gram in grams]


def _inputs(float_passage: Passage, passage: Passage, site: Site) -> Iterator[tuple[Array, Array]]:
    """What a layer should have as its input in each case, and what it has."""
    wanted, present = input_of(site.original), input_of(site.node)
    return zip(
        float_passage.values(wanted.value, before=site.original),
        passage.values(present.value, before=site.node),
        strict=True,
    )


def _seen(site: Site, inputs: Iterable[tuple[Array, Array]]) -> tuple[Matrices, Matrices]:
    """The Gram matrices of the inputs that a layer has, and the weights that make up for what is wrong with them."""
    gram, cross = Gram(site.layer), CrossGram(site.layer)
    present = input_of(site.node)
    for wanted, array in inputs:
        present.give(array, gram)
        cross.add(wanted, present.reals(array))
    return gram.matrices(), target(site.weights, gram.matrices(), cross.matrices())


def _round(site: Site, wanted: Matrices, gram: Matrices, method: Method, narrow_pairs: bool) -> None:
    """Round what a layer's weights are to be, in the order in which products are added where that matters."""
    site = with_chosen_scales(site, wanted, gram)
    pairs = narrow_pairs and multiplies_pairs(site.node) and site.largest > LARGEST_PAIR // 2
    order = product_order(site.node) if pairs else np.arange(site.layer.inputs)
    ordered = gram[:, order[:, np.newaxis], order]
    integers = np.empty_like(wanted)
    levels = _levels(site, wanted, gram) if site.has_palette else None
    integers[..., order] = method(wanted[..., order], ordered, site.scales, site.largest, pairs, levels)
    site.store(site.layer.weights(integers.astype(np.int8)).astype(site.integers.dtype))


def _levels(site: Site, wanted: Matrices, gram: Matrices) -> Levels:
    """A palette that serves the output of a layer: an error counts by its channel's scale and its input's power."""
    power = np.diagonal(damped(gram), axis1=1, axis2=2)[:, np.newaxis, :]
    return choose_levels(wanted / site.scales, np.square(site.scales) * power, LEVELS)
