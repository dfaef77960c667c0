"""Hub passes: they make a graph simpler and keep what it computes.

One pass is one file, with a test of its own. ``simplify`` runs them all and leaves the hub's normal form: constants are
initializers, or a Constant where one is an output; convolutions, Gemms, pads, slices and clips have all parameters
written out; batch norms are folded; reshapes are single; no Transpose stands inside; every value has a type and a
static shape.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import onnx_ir as ir

from edgefleet_compiler.passes.activation_gemms import rewrite_activation_gemms
from edgefleet_compiler.passes.activations import recognise_activations
from edgefleet_compiler.passes.batch_norm import rewrite_batch_norm
from edgefleet_compiler.passes.clips import normalise_clips
from edgefleet_compiler.passes.compositions import write_out_compositions
from edgefleet_compiler.passes.constants import constants_to_initializers
from edgefleet_compiler.passes.dead_code import remove_dead_code
from edgefleet_compiler.passes.einsums import rewrite_einsums
from edgefleet_compiler.passes.fold_affine import fold_affine
from edgefleet_compiler.passes.fold_constants import fold_constants
from edgefleet_compiler.passes.fold_pad import fold_pad
from edgefleet_compiler.passes.gemms import normalise_gemms
from edgefleet_compiler.passes.global_averages import recognise_global_averages
from edgefleet_compiler.passes.group_norms import recognise_group_norms
from edgefleet_compiler.passes.integer_gemms import normalise_integer_gemms
from edgefleet_compiler.passes.layout import choose_layouts
from edgefleet_compiler.passes.lone_softmax import replace_lone_softmax
from edgefleet_compiler.passes.names import name_nodes
from edgefleet_compiler.passes.no_ops import remove_no_ops
from edgefleet_compiler.passes.operands import normalise_operands
from edgefleet_compiler.passes.pads_and_slices import write_out_pads_and_slices
from edgefleet_compiler.passes.powers import rewrite_powers
from edgefleet_compiler.passes.quantised_constants import store_quantised_constants
from edgefleet_compiler.passes.ranks import align_ranks
from edgefleet_compiler.passes.record import Effects, PassRecord, describe
from edgefleet_compiler.passes.reductions import write_out_axes
from edgefleet_compiler.passes.reshapes import merge_reshapes
from edgefleet_compiler.passes.resizes import write_out_resizes
from edgefleet_compiler.passes.signed import sign_integers
from edgefleet_compiler.passes.variadic import take_two_at_a_time
from edgefleet_compiler.passes.windows import write_out_windows

PASSES: tuple[Callable[[ir.Model], Effects], ...] = (
    constants_to_initializers,
    replace_lone_softmax,
    fold_constants,
    rewrite_einsums,
    rewrite_activation_gemms,
    remove_no_ops,
    rewrite_powers,
    write_out_compositions,
    write_out_axes,
    take_two_at_a_time,
    normalise_operands,
    normalise_clips,
    recognise_activations,
    write_out_windows,
    recognise_global_averages,
    write_out_pads_and_slices,
    write_out_resizes,
    merge_reshapes,
    sign_integers,
    normalise_gemms,
    recognise_group_norms,
    align_ranks,
    store_quantised_constants,
    normalise_integer_gemms,
    fold_affine,
    rewrite_batch_norm,
    choose_layouts,
    fold_pad,
    remove_dead_code,
    name_nodes,
)
"""The passes in the order in which they run."""

MOST_ROUNDS = 8
"""Each round starts with what the last one uncovered; real models need two or three."""


def simplify(model: ir.Model) -> list[PassRecord]:
    """Bring a raw hub model to the normal form, in place.

    Args:
        model: Any hub model: static shapes, opset 21.

    Returns:
        One record per pass, in order; seconds and effects are those of all rounds together.
    """
    seconds = [0.0] * len(PASSES)
    effects = [Effects() for _ in PASSES]
    for _ in range(MOST_ROUNDS):
        changed = False
        for index, run in enumerate(PASSES):
            started = time.perf_counter()
            effect = run(model)
            seconds[index] += time.perf_counter() - started
            effects[index].update(effect)
            changed |= bool(effect)
        if not changed:
            break
    return [
        PassRecord(run.__name__, spent, describe(done))
        for run, spent, done in zip(PASSES, seconds, effects, strict=True)
    ]
