"""Whether a target's runtime has an artifact's operators: what it lacks is told all at once, before any flashing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edgefleet_compiler.lowered.graph import LoweredGraph, Operator
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
    return ""
