"""InstanceNormalization: each channel of each image gets zero mean and unit variance."""

from __future__ import annotations

from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lower.standardise import scaled_and_shifted, standardised


def lower_instance_normalization(site: Site) -> None:
    """Lower a normalisation over all axes but batch and channels."""
    tensor = site.input()
    layout = site.output_layout
    positions = [layout.position(axis) for axis in range(2, len(site.output_shape))]
    result, _, _ = standardised(site, tensor, positions, site.node.attributes.get_float("epsilon", 1e-5))
    site.finish_with(scaled_and_shifted(site, result, channel_axis=layout.position(1)))
