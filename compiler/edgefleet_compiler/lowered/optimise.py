"""The lossless passes over a lowered graph, in the order in which each finds most."""

from __future__ import annotations

from edgefleet_compiler.lowered.cancel_transposes import cancel_transposes
from edgefleet_compiler.lowered.dead_code import remove_dead_code
from edgefleet_compiler.lowered.drop_flattens import drop_flattens
from edgefleet_compiler.lowered.fold_padding import fold_padding
from edgefleet_compiler.lowered.fold_shapes import fold_shapes
from edgefleet_compiler.lowered.fuse_activations import fuse_activations
from edgefleet_compiler.lowered.fuse_rsqrt import fuse_rsqrt
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.lowered.merge_reshapes import merge_reshapes
from edgefleet_compiler.lowered.plain_padding import use_plain_padding
from edgefleet_compiler.lowered.raise_clamps import raise_clamps

PASSES = (
    fold_shapes,
    fuse_rsqrt,
    raise_clamps,
    cancel_transposes,
    merge_reshapes,
    fold_padding,
    fuse_activations,
    use_plain_padding,
    drop_flattens,
    remove_dead_code,
)


def optimise(graph: LoweredGraph) -> None:
    """Run every pass once, in place; outputs do not change by a bit."""
    for run in PASSES:
        run(graph)
