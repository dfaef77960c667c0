"""The console: one page, its data as JSON, sign-in and sign-out; everything that it needs is served from here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from edgefleet_contract.errors import Unauthorized
from edgefleet_server.auth import SESSION_COOKIE, SESSION_LIFE, Operator
from edgefleet_server.clock import SECOND
from edgefleet_server.console import service
from edgefleet_server.console.schemas import Snapshot
from edgefleet_server.fleet import FleetHere

_HERE = Path(__file__).parent
_SEE_OTHER = 303
_templates = Jinja2Templates(directory=_HERE / "templates")

router = APIRouter(include_in_schema=False)


def static_files() -> StaticFiles:
    """Styles and scripts."""
    return StaticFiles(directory=_HERE / "static")


@router.get("/")
def page(fleet: FleetHere, request: Request) -> Response:
    """The console, or the way to sign in."""
    if not fleet.gate.has_session(request):
        return RedirectResponse("/sign-in", _SEE_OTHER)
    return _templates.TemplateResponse(request, "console.html")


@router.get("/sign-in")
def sign_in_page(request: Request) -> Response:
    """Asks for the admin token."""
    return _templates.TemplateResponse(request, "sign_in.html", {"wrong": False})


@router.post("/sign-in")
def sign_in(fleet: FleetHere, request: Request, token: Annotated[str, Form(max_length=256)] = "") -> Response:
    """Begin a session. The cookie cannot be read by scripts, and is not sent from other sites."""
    try:
        session = fleet.gate.sign_in(token.strip())
    except Unauthorized:
        return _templates.TemplateResponse(request, "sign_in.html", {"wrong": True}, status_code=401)
    answer = RedirectResponse("/", _SEE_OTHER)
    answer.set_cookie(
        SESSION_COOKIE,
        session,
        max_age=SESSION_LIFE // SECOND,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/sign-out")
def sign_out(fleet: FleetHere, request: Request) -> Response:
    """End the session."""
    fleet.gate.sign_out(request.cookies.get(SESSION_COOKIE, ""))
    answer = RedirectResponse("/sign-in", _SEE_OTHER)
    answer.delete_cookie(SESSION_COOKIE)
    return answer


@router.get("/console/snapshot")
def snapshot(fleet: FleetHere, _operator: Operator) -> Snapshot:
    """What the page shows."""
    with fleet.database.read() as session:
        return service.snapshot(session, fleet)
