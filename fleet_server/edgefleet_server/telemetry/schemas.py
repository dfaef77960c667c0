"""What the API says of telemetry and drift."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class RecordSchema(BaseModel):
    """One telemetry window of a device. ``received_at`` is the server's clock, the window's ends are the device's."""

    model_config = ConfigDict(from_attributes=True)

    boot: str
    n: int
    digest: str
    window_start: int
    window_end: int
    received_at: int
    inferences: int
    errors: int
    latency_p50: float | None
    latency_p95: float | None
    latency_p99: float | None
    latency_max: float | None
    dropped: int


class DriftSchema(BaseModel):
    """The verdict on what a device runs now, over its last 24 hours.

    Attributes:
        enough: Whether there were enough effective samples for a verdict.
        drifted: Features over their threshold: name, psi, threshold; the worst first.
        worst: The feature with the largest PSI, over its threshold or not.
    """

    model_config = ConfigDict(from_attributes=True)

    device_id: str
    digest: str
    compared_at: int
    samples: int
    effective_samples: float
    enough: bool
    drifted: list[dict[str, Any]]
    worst: dict[str, Any] | None


class HistogramSchema(BaseModel):
    """A feature's reference and observation over the same bins, as shares."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    psi: float
    edges: list[float]
    reference: list[float]
    observed: list[float]


class DriftDetail(BaseModel):
    """A device's verdict with its histograms, the worst feature first; None before the first sketch."""

    verdict: DriftSchema | None
    features: list[HistogramSchema]
