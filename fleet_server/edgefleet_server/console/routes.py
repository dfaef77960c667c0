"""The console: a page of the fleet with its data as JSON, and a page of the audit log; all is served from here."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from edgefleet_server.audit import service as audit
from edgefleet_server.audit.schemas import audit_schema
from edgefleet_server.auth import Viewer
from edgefleet_server.console import service
from edgefleet_server.console.pages import templates
from edgefleet_server.console.schemas import Snapshot
from edgefleet_server.fleet import FleetHere

PAGES = frozenset({"/", "/audit"})  # whoever opens one without having signed in is sent to the sign-in
_AUDIT_PAGE = 100

router = APIRouter(include_in_schema=False, tags=["console"])


@router.get("/")
def page(request: Request, viewer: Viewer) -> Response:
    """The console."""
    return templates.TemplateResponse(request, "console.html", {"principal": viewer})


@router.get("/audit")
def audit_page(
    fleet: FleetHere, request: Request, viewer: Viewer, before: Annotated[int | None, Query(ge=1, lt=1 << 63)] = None
) -> Response:
    """The audit log, the newest acts first."""
    with fleet.database.read() as session:
        entries = [audit_schema(entry) for entry in audit.newest(session, _AUDIT_PAGE, before=before)]
    older = entries[-1].id if len(entries) == _AUDIT_PAGE else None
    context = {"principal": viewer, "entries": entries, "older": older, "newest": before is None}
    return templates.TemplateResponse(request, "audit.html", context)


@router.get("/console/snapshot")
def snapshot(fleet: FleetHere, viewer: Viewer) -> Snapshot:
    """What the page shows."""
    with fleet.database.read() as session:
        return service.snapshot(session, fleet, viewer)
