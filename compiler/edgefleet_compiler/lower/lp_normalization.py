"""LpNormalization: each vector along an axis is divided by its length.

TFLite's L2_NORMALIZATION takes lengths below 1e-6 for 1e-6; onnxruntime does not.
"""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.lower.site import Site


def lower_lp_normalization(site: Site) -> None:
    """Lower a division by the sum of magnitudes (p = 1) or the root of the sum of squares (p = 2)."""
    tensor = site.input()
    shape = site.stored_shape(tensor)
    axis = site.output_layout.position(site.node.attributes.get_int("axis", -1))
    one_norm = site.node.attributes.get_int("p", 2) == 1
    positive = site.emit("ABS", [tensor], shape) if one_norm else site.emit("MUL", [tensor, tensor], shape)
    narrow = tuple(1 if position == axis else size for position, size in enumerate(shape))
    length = site.emit("SUM", [positive, site.add_setting("axes", [axis])], narrow, {"keep_dims": True})
    if not one_norm:
        length = site.emit("SQRT", [length], narrow)
    least = site.add_float("least", np.array([np.finfo(np.float32).tiny]))  # vectors of zeros stay zeros
    site.finish("DIV", [tensor, site.emit("MAXIMUM", [length, least], narrow)])
