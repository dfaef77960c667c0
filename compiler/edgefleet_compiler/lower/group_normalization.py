"""GroupNormalization: each group of channels of each image gets zero mean and unit variance."""

from __future__ import annotations

from math import prod

from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lower.standardise import scaled_and_shifted, standardised


def lower_group_normalization(site: Site) -> None:
    """Lower a normalisation of opset 21, whose scale and bias are per channel.

    Wu and He 2018, "Group Normalization", equation 3. Channels lie last, so that a group is a run of them.
    """
    groups = site.node.attributes.get_int("num_groups", 1)
    tensor = site.input()
    batch, *spatial, channels = shape = site.stored_shape(tensor)
    grouped = site.reshape(tensor, (batch, prod(spatial), groups, channels // groups))
    result, _, _ = standardised(site, grouped, (1, 3), site.node.attributes.get_float("epsilon", 1e-5))
    site.finish_with(scaled_and_shifted(site, site.reshape(result, shape), channel_axis=len(shape) - 1))
