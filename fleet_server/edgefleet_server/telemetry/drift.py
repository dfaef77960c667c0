"""Drift: the last 24 hours of each device held against its bundle's reference; a verdict, and an alert when it tips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_contract import sketches
from edgefleet_contract.sketches import Comparison
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
    compared = _compare(session, now, device, digest, references)
    if compared is None:
        return
    samples, comparison = compared
    verdict = session.get(DriftVerdict, (device, digest))
    if verdict is None:
        verdict = DriftVerdict(device_id=device, digest=digest)
        session.add(verdict)
    verdict.compared_at, verdict.samples = now, samples
    verdict.effective_samples, verdict.enough = comparison.effective_samples, comparison.enough
    verdict.drifted = [_builtins(feature) for feature in comparison.drifted]
    verdict.worst = _builtins(comparison.worst) if comparison.worst else None
    cause = _cause(device, digest)
    if comparison.drifted:
        bundle = session.get_one(ReleasedBundle, digest)
        named = ", ".join(f"{feature.name} (PSI {feature.psi:.2f})" for feature in comparison.drifted[:_NAMED])
        alerts.raise_alert(
            change, kind="drift", cause=cause, device=device, digest=digest,
            text=f"{len(comparison.drifted)} input features of {device} have drifted from the reference of "
            f"{bundle.release.label}: {named}",
            details={"features": verdict.drifted, "effective_samples": comparison.effective_samples},
        )  # fmt: skip
    elif comparison.enough:
        alerts.resolve(change, cause)


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


def histograms(
    session: Session, now: int, device: str, digest: str, references: References
) -> list[FeatureHistogram]:  # fmt: skip
    """The features of a device's last 24 hours beside their reference, the worst first; empty without a sketch."""
    known = references.of(session, digest)
    observed = service.hours(session, device, digest, now // HOUR - WINDOW_HOURS + 1)
    if known is None or observed is None:
        return []
    features = [
        FeatureHistogram(
            feature.name,
            sketches.psi(feature.counts, counts),
            feature.edges,
            _shares(feature.counts),
            _shares(counts),
        )
        for feature, counts in zip(known[1].features, observed.counts, strict=True)
    ]
    return sorted(features, key=lambda feature: -feature.psi)


def _cause(device: str, digest: str) -> str:
    return f"drift:{device}:{digest}"


def _compare(
    session: Session, now: int, device: str, digest: str, references: References
) -> tuple[int, Comparison] | None:
    known = references.of(session, digest)
    observed = service.hours(session, device, digest, now // HOUR - WINDOW_HOURS + 1)
    if known is None or observed is None:
        return None
    return observed.n, sketches.compare(known[1], observed)


def _shares(counts: list[int]) -> list[float]:
    total = max(1, sum(counts))
    return [count / total for count in counts]


def _builtins(feature: sketches.FeatureDrift) -> dict[str, Any]:
    return {"name": feature.name, "psi": feature.psi, "threshold": feature.threshold}
