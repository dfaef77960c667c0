"""The diagnosis of a quantised hub: which layers int8 serves badly, why, and what helps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir
from msgspec.structs import replace

from edgefleet_compiler.diagnose.causes import cause_of, is_unlike
from edgefleet_compiler.diagnose.evidence import gather, layers_of, ranges_of, spread_of
from edgefleet_compiler.diagnose.record import Cause, Finding
from edgefleet_compiler.diagnose.remedies import Clinic, Tried, whole_ranges
from edgefleet_compiler.diagnose.unscalable import find_unscalable
from edgefleet_compiler.hub.graph import name_of
from edgefleet_compiler.quantise.calibration.observe import Observations
from edgefleet_compiler.quantise.outliers import Outlier, find_outliers
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.tensors import Sample

_MOST_TRIED = 5
"""Remedies tried at most, for the activations that are worst on their own; each costs a hub and a pass over cases."""

_EVIDENCE_CASES = 32
"""Typical cases that causes are told from; remedies are tried on all of them."""

_LEAST_GAIN_DB = 1.0
"""What a remedy must bring at the outputs for its cause to be worth a word; less is the luck of rounding."""

_LEAST_GAIN_OF_MORE_CASES_DB = 2.0
"""More cases always bring a little, however many there are."""


@dataclass(frozen=True)
class Patient:
    """A quantised hub, and all that is known of it.

    Attributes:
        source_hub: The float hub before anything was done for int8.
        source_seen: What calibration saw of it.
        float_hub: What was quantised: the source hub, or that with its channels equalised.
        seen: What calibration saw of it.
        hub: The quantised hub.
        settings: How it was quantised.
        typical: Some dozens of cases of the calibration set.
        held_out: Some cases that are not of it, or few of it.
    """

    source_hub: ir.Model
    source_seen: Observations
    float_hub: ir.Model
    seen: Observations
    hub: ir.Model
    settings: Settings
    typical: Sequence[Sample]
    held_out: Sequence[Sample]


def diagnose(patient: Patient) -> list[Finding]:
    """The findings whose remedy helps: outlier channels, even if remedied already, then the others, worst first.

    A model without faults costs one pass over the cases; nothing is tried on it.
    """
    plain = replace(patient.settings, equalise="none", bias_correction=False, rounding="nearest")
    outliers = _helped([*_outlier_findings(patient, plain), *_unscalable_findings(patient, plain)])
    # A channel that reaches far does so in some cases more than in others; that is no second cause.
    explained = {finding.activation for finding in outliers if patient.float_hub is patient.source_hub}
    return [*outliers, *_helped(_other_findings(patient, plain, explained))]


def _helped(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.gain_db >= _least_gain_db(finding.cause)]


def _outlier_findings(patient: Patient, plain: Settings) -> Iterator[Finding]:
    outliers = find_outliers(patient.source_hub, patient.source_seen)
    if not outliers:
        return
    ranges = whole_ranges(patient.source_seen)
    clinic = Clinic(patient.source_hub, plain, ranges, patient.source_seen, patient.typical, patient.held_out)
    tried, layers = clinic.equalise(), layers_of(patient.source_hub)
    for outlier in outliers:
        name = outlier.activation
        yield _finding(clinic, name, layers[name], "outlier channel", _told(outlier), tried, channel=outlier.channel)


def _unscalable_findings(patient: Patient, plain: Settings) -> Iterator[Finding]:
    found = list(find_unscalable(patient.float_hub, patient.seen))[:_MOST_TRIED]
    if not found:
        return
    ranges, layers = whole_ranges(patient.seen), layers_of(patient.float_hub)
    clinic = Clinic(patient.float_hub, plain, ranges, patient.seen, patient.typical, patient.held_out)
    for unscalable in found:
        tried = clinic.in_float(unscalable.layers)
        for outlier in unscalable.outliers:
            name = outlier.activation
            yield _finding(
                clinic, name, layers[name], "outlier channel", _told(outlier), tried, channel=outlier.channel
            )


def _told(outlier: Outlier) -> str:
    return (
        f"channel {outlier.channel} spans {outlier.span:.4g}, {outlier.span / outlier.usual_span:.3g} times the usual "
        f"{outlier.usual_span:.4g}, and its weights are as much smaller; without it the range would be "
        f"{outlier.shrinks:.3g} times finer"
    )


def _other_findings(patient: Patient, plain: Settings, explained: set[str]) -> list[Finding]:
    ranges = ranges_of(patient.hub, [name for name in patient.seen.activations if name not in explained])
    some = patient.typical[:: max(1, len(patient.typical) // _EVIDENCE_CASES)]
    evidence = gather(patient.float_hub, patient.seen, ranges, some, patient.held_out)
    unlike = is_unlike(
        evidence[name] for value in patient.float_hub.graph.inputs if (name := name_of(value)) in evidence
    )
    causes = {name: cause_of(found, unlike=unlike) for name, found in evidence.items()}
    suspected = [(name, evidence[name], why) for name, why in causes.items() if why is not None]
    suspected.sort(key=lambda entry: entry[1].power / (entry[1].rounding + entry[1].held_out.noise))
    if not suspected:
        return []
    layers = layers_of(patient.float_hub)
    nodes = {node.name for node in patient.float_hub.graph}
    every = {**whole_ranges(patient.seen), **ranges}
    clinic = Clinic(patient.float_hub, plain, every, patient.seen, patient.typical, patient.held_out)
    findings = []
    tried: dict[str, Tried] = {}
    for name, found, (cause, told) in suspected[:_MOST_TRIED]:
        layer = layers[name]
        # One rare case widens many activations, and is left out of all at once; more cases serve all, too.
        common = {"range lost to a rare input": f"case {found.reach_case}"}
        key = cause if cause.startswith("calibration") else common.get(cause, name)
        if key not in tried:
            tried[key] = clinic.try_for(cause, name, layer if layer in nodes else None, found)
        findings.append(_finding(clinic, name, layer, cause, told, tried[key]))
    return findings


def _least_gain_db(cause: Cause) -> float:
    return _LEAST_GAIN_OF_MORE_CASES_DB if cause == "calibration too small" else _LEAST_GAIN_DB


def _finding(
    clinic: Clinic, name: str, layer: str, cause: Cause, evidence: str, tried: Tried, channel: int | None = None
) -> Finding:
    return Finding(
        layer=layer,
        activation=name,
        cause=cause,
        evidence=evidence,
        channel=channel,
        remedy=tried.words,
        before_db=tried.before_db,
        after_db=tried.after_db,
        spread=spread_of(clinic.float_hub, name, clinic.typical, tried.ranges[name], tried.healed.get(name)),
    )
