"""All tables: importing this module completes ``Base.metadata``, which migrations compare the database with."""

from __future__ import annotations

from edgefleet_server.alerts.models import Alert
from edgefleet_server.audit.models import AuditEntry
from edgefleet_server.db import Base
from edgefleet_server.devices.models import BatchPlace, Boot, Certificate, ClaimBatch, ClaimToken, Device, Tag, Twin
from edgefleet_server.releases.models import Blob, Release, ReleasedBundle
from edgefleet_server.rollouts.models import Assignment, Deployment, Rollout, Stage
from edgefleet_server.samples.models import Sample, SamplePiece
from edgefleet_server.telemetry.models import DriftVerdict, SketchHour, TelemetryRecord
from edgefleet_server.trust.models import DowngradePermit, TrustMetadata
from edgefleet_server.users.models import ApiToken, Session, User

__all__ = [
    "Alert",
    "ApiToken",
    "Assignment",
    "AuditEntry",
    "Base",
    "BatchPlace",
    "Blob",
    "Boot",
    "Certificate",
    "ClaimBatch",
    "ClaimToken",
    "Deployment",
    "Device",
    "DowngradePermit",
    "DriftVerdict",
    "Release",
    "ReleasedBundle",
    "Rollout",
    "Sample",
    "SamplePiece",
    "Session",
    "SketchHour",
    "Stage",
    "Tag",
    "TelemetryRecord",
    "TrustMetadata",
    "Twin",
    "User",
]
