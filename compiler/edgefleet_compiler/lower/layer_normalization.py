"""LayerNormalization: means, differences and a reciprocal root, none of which TFLite has as one operator."""

from __future__ import annotations

from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lower.standardise import scaled_and_shifted, standardised


def lower_layer_normalization(site: Site) -> None:
    """Lower a normalisation over the last axes, and where they are used its means and inverse deviations."""
    rank = len(site.output_shape)
    first = site.node.attributes.get_int("axis", -1) % rank
    epsilon = site.node.attributes.get_float("epsilon", 1e-5)
    result, means, inverse = standardised(site, site.input(), range(first, rank), epsilon)
    site.finish_with(scaled_and_shifted(site, result))
    for index, tensor in enumerate((means, inverse)[: len(site.node.outputs) - 1], start=1):
        site.finish_with(tensor, index)
