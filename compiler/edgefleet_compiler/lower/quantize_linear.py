"""QuantizeLinear and DequantizeLinear: mostly nothing but parameters of tensors, else QUANTIZE and DEQUANTIZE."""

from __future__ import annotations

from edgefleet_compiler.lower.lowering import INT8, INT16
from edgefleet_compiler.lower.quantisation import form_of
from edgefleet_compiler.lower.site import Site


def lower_quantize_linear(site: Site) -> None:
    """Let the output be the integers that the operator before wrote, or quantise the reals that it wrote.

    Source: TensorFlow Lite 8-bit quantization specification, and the 16x8 scheme beside it, whose zero points are 0.
    """
    form = form_of(site.node)
    if form.dtype not in (INT8, INT16):
        site.refuse(f"it quantises to {form.dtype}; activations are int8 or int16")
    if form.dtype == INT16 and form.quantisation.zero_point.any():
        site.refuse("its 16-bit integers have a zero point other than 0, which TFLite's kernels do not take")
    site.finish_with(site.input_stored_by(form))


def lower_dequantize_linear(site: Site) -> None:
    """Let the output be the integers themselves: only who needs reals gets them, by DEQUANTIZE."""
    site.finish_with(site.input_stored_by(form_of(site.node)))
