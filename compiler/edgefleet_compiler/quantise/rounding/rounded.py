"""The rounding step of the quantiser: integers of weights chosen by what they do to the outputs of their layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.quantise.rounding.adaptive import adaptive
from edgefleet_compiler.quantise.rounding.gram import Gram
from edgefleet_compiler.quantise.rounding.quadratic import Matrices
from edgefleet_compiler.quantise.rounding.second_order import second_order
from edgefleet_compiler.quantise.rounding.sites import Site, sites
from edgefleet_compiler.quantise.rounding.watch import Sample, input_of, watching

Allowed = Callable[[ir.Node, NDArray[Any]], NDArray[np.bool_]]
"""Tells of a layer and integers for its weights which output channels may have them; shape (channels,)."""

_METHODS = {"second-order": second_order, "adaptive": adaptive}


def rounded(
    float_hub: ir.Model,
    quantised_hub: ir.Model,
    samples: Sequence[Sample],
    rounding: Literal["second-order", "adaptive"],
    *,
    on_progress: Callable[[int], None] = lambda _: None,
    allowed: Allowed | None = None,
) -> ir.Model:
    """A copy of a quantised hub whose weights are rounded anew; scales, zero points and biases stay.

    A layer's errors count by the inputs that it has in the quantised hub, rounded to nearest: these are what it gets.
    Taking the layers in turn, each behind those rounded already, was measured to make no difference.

    Args:
        float_hub: In hub normal form, with the weights as they were; it is not changed.
        quantised_hub: The same with pairs or with weights behind DequantizeLinear; it is not changed.
        samples: Typical inputs, a batch of one each; 256 are plenty.
        rounding: How.
        on_progress: Called after each sample with how many are done.
        allowed: Channels of which it says no keep the integers that they have.

    Returns:
        The copy. Weights that several layers share, and stacks of matrices, are as they were.
    """
    copy = quantised_hub.clone()
    found = list(sites(float_hub, copy))
    for site, gram in zip(found, _grams(copy, found, samples, on_progress), strict=True):
        _round(site, _METHODS[rounding](site.weights, gram, site.scales, site.largest), allowed)
    return copy


def _grams(
    model: ir.Model, found: Sequence[Site], samples: Sequence[Sample], on_progress: Callable[[int], None]
) -> list[Matrices]:
    inputs = [input_of(site.node) for site in found]
    grams = [Gram(site.layer) for site in found]
    compute = watching(model, [entry.name for entry in inputs])
    for done, sample in enumerate(samples, start=1):
        values = compute(sample)
        for entry, gram in zip(inputs, grams, strict=True):
            entry.give(values[entry.name], gram)
        on_progress(done)
    return [gram.matrices() for gram in grams]


def _round(site: Site, integers: Matrices, allowed: Allowed | None) -> None:
    before = site.integers
    after = site.layer.weights(integers.astype(np.int8)).astype(before.dtype)
    if allowed is not None:
        shape = [-1 if axis == site.layer.channel_axis else 1 for axis in range(after.ndim)]
        after = np.where(allowed(site.node, after).reshape(shape), after, before)
    site.store(after)
