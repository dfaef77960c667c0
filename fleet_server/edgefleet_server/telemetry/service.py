"""Telemetry records, kept once each, and their sketches merged by the hour of arrival.

The server's clock decides in which hour a sketch counts: a device's clock is shown, never used as order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import cast

from sqlalchemy import Table, func, insert, select
from sqlalchemy.orm import Session

from edgefleet_contract import canonical, sketches
from edgefleet_contract.errors import MessageMalformed
from edgefleet_contract.messages import TelemetryRecord
from edgefleet_contract.sketches import Sketch
from edgefleet_server.clock import HOUR
from edgefleet_server.telemetry import models
from edgefleet_server.telemetry.references import References

_RECORDS = cast("Table", models.TelemetryRecord.__table__)  # itself, for what comes by the thousand needs no objects
SKETCH_LIMIT = 4 * 1024 * 1024  # bytes of a merged sketch: 128 features of 64 bins of large counts


def store(session: Session, now: int, device: str, records: Iterable[TelemetryRecord], references: References) -> int:
    """Keep the records that are not there yet, and merge their sketches.

    Returns:
        How many sketches did not fit their reference and were left out.
    """
    fresh = _fresh(session, device, records)
    if fresh:
        session.execute(insert(_RECORDS), [_row(device, record, now) for record in fresh])
    fitting: dict[str, list[Sketch]] = defaultdict(list)
    refused = 0
    for record in fresh:
        if record.sketch is None or record.sketch.n == 0:
            continue
        if _fits(session, record.digest, record.sketch, references):
            fitting[record.digest].append(record.sketch)
        else:
            refused += 1
    for digest, found in fitting.items():
        _merge_into_hour(session, now // HOUR, device, digest, found)
    return refused


def hours(session: Session, device: str, digest: str, since_hour: int) -> Sketch | None:
    """All sketches of a device and bundle from ``since_hour`` on, merged; None when there are none."""
    query = select(models.SketchHour.sketch).where(
        models.SketchHour.device_id == device,
        models.SketchHour.digest == digest,
        models.SketchHour.hour >= since_hour,
    )
    found = [_decode(data) for data in session.scalars(query)]
    return sketches.merge(found) if found else None


def latest(session: Session, device: str, limit: int) -> list[models.TelemetryRecord]:
    """The newest records of a device, newest first."""
    query = (
        select(models.TelemetryRecord)
        .where(models.TelemetryRecord.device_id == device)
        .order_by(models.TelemetryRecord.received_at.desc(), models.TelemetryRecord.n.desc())
    )
    return list(session.scalars(query.limit(limit)))


def totals(session: Session, devices: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Inferences and errors of each of ``devices``, over all that is kept."""
    query = (
        select(
            models.TelemetryRecord.device_id,
            func.sum(models.TelemetryRecord.inferences),
            func.sum(models.TelemetryRecord.errors),
        )
        .where(models.TelemetryRecord.device_id.in_(devices))
        .group_by(models.TelemetryRecord.device_id)
    )
    return {device: (inferences, errors) for device, inferences, errors in session.execute(query)}


def _fresh(session: Session, device: str, records: Iterable[TelemetryRecord]) -> list[TelemetryRecord]:
    by_boot: dict[str, dict[int, TelemetryRecord]] = defaultdict(dict)
    for record in records:
        by_boot[record.boot].setdefault(record.n, record)
    fresh = []
    for boot, numbered in by_boot.items():
        known = set(
            session.scalars(
                select(_RECORDS.c.n).where(
                    _RECORDS.c.device_id == device,
                    _RECORDS.c.boot == boot,
                    _RECORDS.c.n.between(min(numbered), max(numbered)),
                )
            )
        )
        fresh += [record for n, record in numbered.items() if n not in known]
    return fresh


def _row(device: str, record: TelemetryRecord, now: int) -> dict[str, object]:
    latency = record.latency
    return {
        "device_id": device,
        "boot": record.boot,
        "n": record.n,
        "digest": record.digest,
        "window_start": record.start,
        "window_end": record.end,
        "received_at": now,
        "inferences": record.inferences,
        "errors": record.errors,
        "latency_p50": latency.p50 if latency else None,
        "latency_p95": latency.p95 if latency else None,
        "latency_p99": latency.p99 if latency else None,
        "latency_max": latency.max if latency else None,
        "dropped": record.dropped,
    }


def _fits(session: Session, digest: str, sketch: Sketch, references: References) -> bool:
    known = references.of(session, digest)
    if known is None or known[0] != sketch.reference:
        return False
    try:
        sketches.check_sketch(sketch, known[1])
    except MessageMalformed:
        return False
    return True


def _merge_into_hour(session: Session, hour: int, device: str, digest: str, found: list[Sketch]) -> None:
    row = session.get(models.SketchHour, (device, digest, hour))
    if row is None:
        merged = sketches.merge(found)
        session.add(models.SketchHour(device_id=device, digest=digest, hour=hour, sketch=canonical.encode(merged)))
    else:
        row.sketch = canonical.encode(sketches.merge([_decode(row.sketch), *found]))


def _decode(data: bytes) -> Sketch:
    return canonical.decode(data, Sketch, what="merged sketch", limit=SKETCH_LIMIT)
