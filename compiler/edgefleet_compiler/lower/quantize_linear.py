"""QuantizeLinear and DequantizeLinear: mostly nothing but parameters of tensors, else QUANTIZE and DEQUANTIZE."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lower.quantisation import parameters
from edgefleet_compiler.lower.site import Site


def lower_quantize_linear(site: Site) -> None:
    """Let the output be the int8 tensor that the operator before wrote, or quantise the float one that it wrote."""
    if site.node.outputs[0].dtype != ir.DataType.INT8:
        site.refuse(f"it quantises to {site.node.outputs[0].dtype}; activations are int8")
    site.finish_with(site.input_stored_by(parameters(site.node)))


def lower_dequantize_linear(site: Site) -> None:
    """Let the output be the int8 tensor itself: only who needs reals gets them, by DEQUANTIZE."""
    site.finish_with(site.input_stored_by(parameters(site.node)))
