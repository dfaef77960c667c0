"""LRN: LOCAL_RESPONSE_NORMALIZATION."""

from __future__ import annotations

from math import prod

from edgefleet_compiler.lower.site import Site


def lower_lrn(site: Site) -> None:
    """Lower a normalisation across neighbouring channels.

    Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks", section
    3.3. ONNX divides alpha by the window's size; TFLite does not, and knows windows by their radius.
    """
    attributes = site.node.attributes
    size = attributes.get_int("size")
    if size % 2 == 0:
        site.refuse(f"its window of {size} channels is even; TFLite's reaches as far to both sides")
    image = site.input()
    batch, *spatial, channels = shape = site.stored_shape(image)
    rows = site.reshape(image, (batch, 1, prod(spatial), channels))
    normalised = site.emit(
        "LOCAL_RESPONSE_NORMALIZATION",
        [rows],
        site.stored_shape(rows),
        {
            "radius": size // 2,
            "bias": attributes.get_float("bias", 1.0),
            "alpha": attributes.get_float("alpha", 1e-4) / size,
            "beta": attributes.get_float("beta", 0.75),
        },
    )
    site.finish_with(site.reshape(normalised, shape))
