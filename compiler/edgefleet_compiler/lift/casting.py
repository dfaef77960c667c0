"""CAST: Cast."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lift.site import Site


def lift_cast(site: Site) -> ir.Value:
    """CAST to the type that the output declares."""
    wanted = int(ir.DataType.from_numpy(site.output.dtype))
    return site.emit("Cast", [site.any_value(0)], site.tensor(0).shape, {"to": wanted})
