"""What findings mean for the rest of a report: causes of layers, and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from edgefleet_compiler.checks.layers import Layer
from edgefleet_compiler.diagnose.record import Finding
from edgefleet_compiler.diagnose.remedies import EQUALISED
from edgefleet_compiler.layer_names import short_name

_NAMED = 3


def with_causes(layers: Iterable[Layer], findings: Sequence[Finding]) -> list[Layer]:
    """The layers, those that were found to be bad with the cause; what stays in float keeps the reason for that."""
    causes = {finding.layer: finding.cause for finding in reversed(findings)}
    return [_with_cause(layer, causes.get(layer.name)) for layer in layers]


def _with_cause(layer: Layer, cause: str | None) -> Layer:
    in_float = layer.cause is not None and layer.cause.startswith("left in float")
    return layer if cause is None or in_float else replace(layer, cause=cause)


def warn_of_findings(findings: Sequence[Finding], *, equalised: bool) -> list[str]:
    """A sentence for each of the first findings.

    Args:
        findings: Of an artifact.
        equalised: Whether its channels were equalised, which remedies outliers.
    """
    told = [_sentence(finding, equalised and finding.remedy == EQUALISED) for finding in findings[:_NAMED]]
    more = len(findings) - _NAMED
    return told if more <= 0 else [*told, f"The report names {more} more layers that int8 serves badly."]


def _sentence(finding: Finding, remedied: bool) -> str:
    layer, activation = short_name(finding.layer), short_name(finding.activation)
    told = f"Layer {layer!r}: {finding.cause}. In {activation!r}, {finding.evidence}."
    if finding.before_db is None or finding.after_db is None:
        return told
    does = "Remedied by" if remedied else "What would help:"
    gain = f"from {finding.before_db:.1f} to {finding.after_db:.1f} dB"
    return f"{told} {does} {finding.remedy}. With nothing else done, such as bias correction, the outputs go {gain}."
