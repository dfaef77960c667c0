"""Whether a target's runtime has an artifact's operators: what it lacks is told all at once, before any flashing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from edgefleet_compiler.exports import Exported
from edgefleet_compiler.four_bits import INT4
from edgefleet_compiler.lowered.coherence import WEIGHTED
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator, Tensor
from edgefleet_compiler.refusal import Refusal, unsupported
from edgefleet_compiler.tflite.versions import operator_version
from edgefleet_contract.errors import OperatorUnsupported
from edgefleet_hardware.profile import Runtime, TargetProfile
from edgefleet_hardware.runtime_limits import OperatorLimit, limits_of

# The operand whose element type an operator computes with, where it is not the first: others come before it.
_JUDGED_OPERAND: Final = {"EMBEDDING_LOOKUP": 1, "SELECT": 1, "SELECT_V2": 1, "SPLIT": 1, "TRANSPOSE_CONV": 2}
TOO_NEW: Final = "its version is"  # how the reason of an operator begins whose version the runtime does not have


def missing_operators(graph: LoweredGraph, runtime: Runtime) -> list[Refusal]:
    """The operators of a ``.tflite`` artifact that a runtime does not run, in execution order.

    Args:
        graph: What stands in the file.
        runtime: As the target's profile has it.
    """
    return list(_missing(graph, runtime))


def check_operators(graph: LoweredGraph, runtime: Runtime, profile: TargetProfile) -> None:
    """Refuse an artifact that the target's runtime would not run.

    Args:
        graph: What stands in the ``.tflite`` file.
        runtime: Of the artifact's format.
        profile: The target.

    Raises:
        OperatorUnsupported: Operators that are missing, too new, or of another type than the runtime's kernels; each
            with its node and, where one is known, a rewrite.
    """
    refusals = missing_operators(graph, runtime)
    if refusals:
        raise not_run(refusals, runtime, profile)


def not_run(refusals: list[Refusal], runtime: Runtime, profile: TargetProfile) -> OperatorUnsupported:
    """The refusal that names all of them."""
    return unsupported(
        refusals,
        f"{runtime.name} {runtime.minimum_version} on {profile.name!r} does not run these operators",
        expected=f"operators that {runtime.name} has; `edgefleet target show` lists them",
        remedy="Change the layers that are named, or choose a target whose runtime has them.",
    )


def _missing(graph: LoweredGraph, runtime: Runtime) -> Iterator[Refusal]:
    limits = limits_of(runtime.name)
    if limits.complete:
        return
    for operator in graph.operators:
        if runtime.operators is not None and operator.kind not in runtime.operators:
            reason = "the target's firmware does not register it"
        elif operator.kind not in limits.operators:
            reason = f"{runtime.name} does not have it"
        elif not limits.hybrid and _is_hybrid(operator, graph):
            reason = f"{runtime.name} computes it on float activations with float weights only"
        else:
            reason = _too_new_or_other_type(operator, graph, limits.operators[operator.kind], runtime)
        if reason:
            rewrite = limits.rewrites.get(operator.kind)
            told = f"{reason}; instead: {rewrite}" if rewrite else reason
            yield Refusal(operator.source or operator.outputs[0], operator.kind, told)


def _too_new_or_other_type(operator: Operator, graph: LoweredGraph, limit: OperatorLimit, runtime: Runtime) -> str:
    version = operator_version(operator, graph)
    if limit.version is not None and version > limit.version:
        return f"{TOO_NEW} {version}, and {runtime.name} {runtime.minimum_version} has version {limit.version}"
    operand = operator.inputs[_JUDGED_OPERAND.get(operator.kind, 0)]
    dtype = None if operand is None else str(graph.tensors[operand].dtype)
    if limit.dtypes is not None and dtype is not None and dtype not in limit.dtypes:
        return f"{runtime.name} computes it in {', '.join(limit.dtypes)}, not in {dtype}"
    return _four_bits_not_taken(operator, graph, limit, runtime)


def _four_bits_not_taken(operator: Operator, graph: LoweredGraph, limit: OperatorLimit, runtime: Runtime) -> str:
    """Why an operator does not take its constants of 4-bit integers; empty where it does, or has none."""
    operands = _operands(operator, graph)
    narrow = [tensor for tensor in operands if tensor.dtype == INT4]
    if not narrow:
        return ""
    if limit.four_bits is None:
        return f"{runtime.name} takes no 4-bit weights there"
    if limit.four_bits == "per-tensor" and any(_is_per_channel(tensor) for tensor in narrow):
        return f"{runtime.name} takes 4-bit weights there with one scale, not one per channel"
    if operator.kind == "CONV_2D" and operands[0].shape[3] != operands[1].shape[3] and not limit.four_bits_in_groups:
        return f"{runtime.name} takes no 4-bit weights of convolutions in groups"
    return ""


def _is_hybrid(operator: Operator, graph: LoweredGraph) -> bool:
    """Whether it rounds its activations at run time, to multiply them by integer weights."""
    types = [tensor.dtype for tensor in _operands(operator, graph)[:2]]
    return operator.kind in WEIGHTED and types[0] == np.float32 and types[1] in (np.int8, INT4)


def _operands(operator: Operator, graph: LoweredGraph) -> list[Tensor]:
    return [graph.tensors[name] for name in operator.inputs if name is not None]


def _is_per_channel(tensor: Tensor) -> bool:
    return tensor.quantisation is not None and tensor.quantisation.per_channel


def oldest_release(exported: Exported, runtime: Runtime) -> str:
    """The oldest release of a target's runtime that runs an artifact.

    Args:
        exported: The artifact.
        runtime: As the target's profile has it.
    """
    since = limits_of(runtime.name).four_bits_since
    if since is None or not exported.four_bits:
        return runtime.minimum_version
    return max(since, runtime.minimum_version, key=_numbers)


def _numbers(release: str) -> list[int]:
    return [int(number) for number in release.split(".")]
