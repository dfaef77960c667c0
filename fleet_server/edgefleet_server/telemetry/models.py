"""Tables of telemetry records, of their sketches merged by the hour, and of the last verdict on each device."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from edgefleet_server.db import Base


class TelemetryRecord(Base):
    """One window of one bundle's inference on one device; (device, boot, n) comes once, however often it is sent."""

    __tablename__ = "telemetry_records"
    __table_args__ = (Index("ix_telemetry_records_device_received", "device_id", "received_at"),)

    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    boot: Mapped[str] = mapped_column(String(64), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    window_start: Mapped[int]
    window_end: Mapped[int]
    received_at: Mapped[int] = mapped_column(index=True)
    inferences: Mapped[int]
    errors: Mapped[int]
    latency_p50: Mapped[float | None]
    latency_p95: Mapped[float | None]
    latency_p99: Mapped[float | None]
    latency_max: Mapped[float | None]
    dropped: Mapped[int]


class SketchHour(Base):
    """The sketches of one device and bundle that came within one hour of the server's clock, merged.

    Attributes:
        hour: Milliseconds since the epoch, divided by an hour.
        sketch: ``sketches.Sketch`` as canonical JSON.
    """

    __tablename__ = "sketch_hours"

    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    hour: Mapped[int] = mapped_column(primary_key=True)
    sketch: Mapped[bytes] = mapped_column(LargeBinary)


class DriftVerdict(Base):
    """The last comparison of a device's last 24 hours with its bundle's reference.

    Attributes:
        enough: Whether there were enough effective samples for a verdict.
        drifted: Features over their threshold, the worst first: name, psi, threshold.
        worst: The feature with the largest PSI.
    """

    __tablename__ = "drift_verdicts"

    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    compared_at: Mapped[int]
    samples: Mapped[int]
    effective_samples: Mapped[float]
    enough: Mapped[bool]
    drifted: Mapped[list[Any]] = mapped_column(JSON)
    worst: Mapped[dict[str, Any] | None] = mapped_column(JSON)
