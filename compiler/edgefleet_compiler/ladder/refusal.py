"""The refusal where no rung is accurate enough: the best that was reached, what costs it, and what would help."""

from __future__ import annotations

import math

from edgefleet_compiler.attempt import Attempt
from edgefleet_compiler.diagnose.record import Finding
from edgefleet_compiler.layer_names import short_name
from edgefleet_compiler.quantise.search.reference import Reference
from edgefleet_compiler.quantise.search.sensitivity import Sensitivity, measure_sensitivity
from edgefleet_compiler.recipe.form import STATIC
from edgefleet_compiler.tensors import Sample
from edgefleet_contract.errors import AccuracyLost

_MOST_LAYERS = 3
_LEAST_SHARE = 0.05
_ROUNDING = 1e-6
_GENERAL = "Typical inputs that the calibration set lacks would help, or training for integers."


def explain(attempt: Attempt, cases: list[Sample], rungs: int) -> None:
    """Let a loss of accuracy say what costs it and what would help; nothing where there is no such refusal.

    Args:
        attempt: What came nearest.
        cases: Some dozens of typical cases; none where there is no calibration set.
        rungs: How many artifacts were measured.
    """
    attempt.refusals[:] = [
        _explained(refusal, attempt, cases, rungs) if isinstance(refusal, AccuracyLost) else refusal
        for refusal in attempt.refusals
    ]


def _explained(lost: AccuracyLost, attempt: Attempt, cases: list[Sample], rungs: int) -> AccuracyLost:
    seen = lost.seen if rungs == 1 else f"None of {rungs} rungs is accurate enough; the best: {lost.seen}"
    general = lost.remedy if rungs == 1 else _GENERAL
    told = [_costs(attempt, cases), *map(_helps, attempt.findings[:_MOST_LAYERS]), general, _allow(attempt)]
    return AccuracyLost(
        seen,
        expected=lost.expected,
        remedy=" ".join(sentence for sentence in told if sentence),
        **{**lost.facts, "recipe": attempt.artifact.recipe.scheme},
    )


def _costs(attempt: Attempt, cases: list[Sample]) -> str:
    """The layers that make most of the noise in the outputs, with their shares of it."""
    artifact = attempt.artifact
    if artifact.recipe.scheme not in STATIC or artifact.hub is None or artifact.float_hub is None or not cases:
        return ""
    reference = Reference(artifact.float_hub, cases)
    measured = measure_sensitivity(artifact.float_hub, artifact.hub, reference, leave_out=False)
    worst = [(name, share) for name, share in _shares(measured)[:_MOST_LAYERS] if share >= _LEAST_SHARE]
    named = [f"{short_name(name)!r} ({share:.0%})" for name, share in worst]
    return f"Most of the noise in the outputs comes from {', '.join(named)}." if named else ""


def _shares(measured: Sensitivity) -> list[tuple[str, float]]:
    """Layers and inputs by their share of the noise, the largest first."""
    noises = measured.inputs | {layer.name: layer.alone for layer in measured.layers}
    total = sum(noises.values()) or 1.0
    return sorted(((name, noise / total) for name, noise in noises.items()), key=lambda entry: -entry[1])


def _helps(finding: Finding) -> str:
    gain = f"with {finding.remedy} the outputs gain {finding.gain_db:.1f} dB"
    return f"{short_name(finding.layer)!r}: {finding.cause}; {gain}."


def _allow(attempt: Attempt) -> str:
    """The limit that would let this artifact pass."""
    accuracy = attempt.measurement.accuracy
    if accuracy is None or not math.isfinite(accuracy.drop):
        return ""
    return f"With --max-drop {math.ceil(accuracy.drop * 1000 - _ROUNDING) / 1000:g} it would be accepted."
