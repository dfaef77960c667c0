"""PAD and PADV2: Pad with a constant. MIRROR_PAD: Pad by reflection."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lift.site import Site, Unliftable


def lift_mirror_pad(site: Site) -> ir.Value:
    """MIRROR_PAD about the outermost elements.

    Raises:
        Unliftable: It repeats the outermost elements (SYMMETRIC), which ONNX's Pad does not.
    """
    if site.option("mode") != "REFLECT":
        raise Unliftable(f"its mode is {site.option('mode')}")
    source, pads = site.tensor(0).shape, site.integers(1)
    site.require(
        pads.shape == (len(source), 2)
        and all(0 <= amount < extent for extent, pair in zip(source, pads.tolist(), strict=True) for amount in pair),
        f"pads {list(source)} by {pads.tolist()}",
        "two amounts to each axis, below its extent",
    )
    shape = tuple(extent + int(before + after) for extent, (before, after) in zip(source, pads, strict=True))
    return site.emit("Pad", [site.value(0), site.constant("pads", pads.T.ravel())], shape, {"mode": "reflect"})


def lift_pad(site: Site) -> ir.Value:
    """PAD with zeros, or PADV2 with its third input; the second holds rank pairs of elements before and after."""
    source, pads = site.tensor(0).shape, site.integers(1)
    site.require(
        pads.shape == (len(source), 2) and pads.min(initial=0) >= 0 and pads.max(initial=0) < 2**31,
        f"pads {list(source)} by {pads.tolist()}",
        "two amounts to each axis, none negative",
    )
    operands = [site.value(0), site.constant("pads", pads.T.ravel())]
    if site.kind == "PADV2":
        shape = site.tensor(2).shape
        site.require(shape in ((), (1,)), f"pads with a value of shape {list(shape)}", "a scalar")
        value = site.value(2)
        operands.append(value if shape == () else site.emit("Squeeze", [value], (), label="value"))
    shape = tuple(extent + int(before + after) for extent, (before, after) in zip(source, pads, strict=True))
    return site.emit("Pad", operands, shape, {"mode": "constant"})
