"""FULLY_CONNECTED: TFLite's ``kernels/internal/reference/integer_ops/fully_connected.h``."""

from __future__ import annotations

from collections.abc import Sequence

from edgefleet_compiler.emulate.site import Run, Site, Values
from edgefleet_compiler.emulate.weighted import weighted


def fully_connected(site: Site) -> Run:
    """FULLY_CONNECTED; axes before the last count as one."""
    layer = weighted(site)
    matrix = layer.weights.T.astype(layer.sums_in)
    shape = site.output.shape

    def run(values: Sequence[Values]) -> Values:
        rows = layer.centred(values[0].reshape(len(values[0]), -1, len(matrix)))
        return layer.finish(rows @ matrix).reshape(len(values[0]), *shape)

    return run
