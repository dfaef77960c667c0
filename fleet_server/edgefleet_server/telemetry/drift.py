"""Drift: the last 24 hours of each device held against its bundle's reference; a verdict, and an alert when it tips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_contract import sketches
from edgefleet_contract.sketches import Reference, Sketch
from edgefleet_server.alerts import service as alerts
from edgefleet_server.audit.change import Change
from edgefleet_server.clock import HOUR
from edgefleet_server.devices.models import Device
from edgefleet_server.releases.models import ReleasedBundle
from edgefleet_server.telemetry import service
from edgefleet_server.telemetry.models import DriftVerdict
from edgefleet_server.telemetry.references import References

WINDOW_HOURS = 24
_NAMED = 3  # drifted features that an alert names


@dataclass(frozen=True)
class FeatureHistogram:
    """One feature's reference and observation, as shares of their samples, over the same bins."""

    name: str
    psi: float
    edges: list[float]
    reference: list[float]
    observed: list[float]


def evaluate(change: Change, device: str, digest: str, references: References) -> None:
    """Compare anew, keep the verdict, and open or resolve the alert. What no longer runs alarms nobody."""
    session, now = change.session, change.now
    if session.get_one(Device, device).twin.running != digest:
        return
    found = _last_day(session, now, device, digest, references)
    if found is None:
        return
    reference, observed = found
    comparison = sketches.compare(reference, observed)
    verdict = session.get(DriftVerdict, (device, digest))
    if verdict is None:
        verdict = DriftVerdict(device_id=device, digest=digest)
        session.add(verdict)
    verdict.compared_at, verdict.samples = now, observed.n
    verdict.effective_samples, verdict.enough = comparison.effective_samples, comparison.enough
    verdict.drifted = [_builtins(feature) for feature in comparison.drifted]
    verdict.worst = _builtins(comparison.worst) if comparison.worst else None
    if comparison.drifted:
        label = session.get_one(ReleasedBundle, digest).release.label
        named = ", ".join(f"{feature.name} (PSI {feature.psi:.2f})" for feature in comparison.drifted[:_NAMED])
        alerts.raise_alert(
            change,
            kind="drift",
            cause=_cause(device, digest),
            text=f"What {device} sees has drifted from the reference of {label}, in {len(comparison.drifted)} of "
            f"{len(reference.features)} features: {named}",
            device=device,
            digest=digest,
            details={"features": verdict.drifted, "effective_samples": comparison.effective_samples},
        )
    elif comparison.enough:
        alerts.resolve(change, _cause(device, digest))


def stop_watching(change: Change, device: str, digest: str) -> None:
    """The device no longer runs this bundle: what its inputs were to it matters no more."""
    alerts.resolve(change, _cause(device, digest))


def verdicts(session: Session, device: str | None = None) -> list[DriftVerdict]:
    """The last verdict on what each device runs now."""
    query = (
        select(DriftVerdict)
        .join(Device, Device.id == DriftVerdict.device_id)
        .where(Device.twin.has(running=DriftVerdict.digest))
        .order_by(DriftVerdict.device_id)
    )
    if device is not None:
        query = query.where(DriftVerdict.device_id == device)
    return list(session.scalars(query.limit(1000)))


def histograms(session: Session, now: int, device: str, digest: str, references: References) -> list[FeatureHistogram]:
    """The features of a device's last 24 hours beside their reference, the worst first; empty without a sketch."""
    found = _last_day(session, now, device, digest, references)
    if found is None:
        return []
    reference, observed = found
    features = [
        FeatureHistogram(
            feature.name,
            sketches.psi(feature.counts, counts),
            feature.edges,
            _shares(feature.counts),
            _shares(counts),
        )
        for feature, counts in zip(reference.features, observed.counts, strict=True)
    ]
    return sorted(features, key=lambda feature: -feature.psi)


def _cause(device: str, digest: str) -> str:
    return f"drift:{device}:{digest}"


def _last_day(
    session: Session, now: int, device: str, digest: str, references: References
) -> tuple[Reference, Sketch] | None:
    """The bundle's reference and what the device saw of late; None when there is nothing to compare."""
    known = references.of(session, digest)
    observed = service.hours(session, device, digest, now // HOUR - WINDOW_HOURS + 1)
    return (known[1], observed) if known is not None and observed is not None else None


def _shares(counts: list[int]) -> list[float]:
    total = max(1, sum(counts))
    return [count / total for count in counts]


def _builtins(feature: sketches.FeatureDrift) -> dict[str, Any]:
    return {"name": feature.name, "psi": feature.psi, "threshold": feature.threshold}
