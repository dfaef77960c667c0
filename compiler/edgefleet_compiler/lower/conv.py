"""Conv: CONV_2D, or DEPTHWISE_CONV_2D where every input channel is a group of its own."""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.lower.constants import Constant
from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lower.weights import bias_type, constant_operands
from edgefleet_compiler.lower.window import finish_image, image_input, padded, window_of
from edgefleet_compiler.lowered.graph import AttributeValue, Quantisation


def lower_conv(site: Site) -> None:
    """Lower a convolution; other groups than one per channel are a CONV_2D whose filters have fewer input channels.

    Padding becomes an operator of its own here; ``lowered.fold_padding`` makes it SAME where that is the same.
    """
    weight, bias = constant_operands(site)
    kernel = weight.stored.shape[2:]
    window = window_of(site, kernel)
    groups = site.node.attributes.get_int("group", 1)
    depthwise = groups > 1 and groups == site.shape(0)[1]
    filters = _as_image_filters(weight).transposed((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
    attributes: dict[str, AttributeValue] = {
        "padding": "VALID",
        **window.stride_attributes,
        "dilation_h_factor": window.dilations[0],
        "dilation_w_factor": window.dilations[1],
    }
    if depthwise:
        attributes["depth_multiplier"] = weight.stored.shape[0] // groups
    image = padded(site, image_input(site), window)
    operands: list[str | None] = [image, site.add_operand(filters), site.add_operand(bias or _no_bias(site, weight))]
    finish_image(site, "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", operands, attributes)


def _no_bias(site: Site, weight: Constant) -> Constant:
    """Zeros: LiteRT's CONV_2D does not load without biases, although they are optional in its schema."""
    outputs = weight.stored.shape[0]
    given, filters = site.input_form(), weight.quantisation
    if not site.integer or given is None or filters is None:
        return Constant("no_bias", np.zeros(outputs, np.float32))
    scale = (given.quantisation.scale.astype(np.float64) * filters.scale).astype(np.float32)
    parameters = Quantisation(scale, np.zeros(scale.shape, np.int64))
    return Constant("no_bias", np.zeros(outputs, bias_type(site)), parameters)


def _as_image_filters(weight: Constant) -> Constant:
    """Filters of a one-dimensional convolution with a height of 1; others as they are. Channels stay on axis 0."""
    if weight.stored.ndim == 4:
        return weight
    outputs, inputs, width = weight.stored.shape
    return weight.rearranged(weight.stored.reshape(outputs, inputs, 1, width), channel_axis=0)
