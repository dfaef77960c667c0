"""Operators' routes of samples. What they give is sealed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from edgefleet_server.auth import OperatorRole
from edgefleet_server.fleet import FleetHere
from edgefleet_server.samples import service
from edgefleet_server.samples.schemas import SampleSchema

PAGE = 1000
SampleId = Annotated[int, Path(ge=1, lt=1 << 63)]

router = APIRouter(prefix="/api/v1", tags=["samples"])


@router.get("/samples")
def list_samples(
    fleet: FleetHere,
    _operator: OperatorRole,
    device: str | None = None,
    after: Annotated[int, Query(ge=0, lt=1 << 63)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> list[SampleSchema]:
    """A page of samples, by id; the next page begins after the last id of this one."""
    with fleet.database.read() as session:
        return [SampleSchema.model_validate(sample) for sample in service.whole(session, device, after, limit)]


@router.get("/samples/{sample_id}/sealed", response_class=Response)
def fetch_sample(fleet: FleetHere, operator: OperatorRole, sample_id: SampleId) -> Response:
    """A sample, sealed: its recipient's key opens it."""
    with fleet.change(operator) as change:
        data = service.sealed(change.session, sample_id)
        change.record("sample.fetched", sample=sample_id)
    return Response(data, media_type="application/octet-stream")
