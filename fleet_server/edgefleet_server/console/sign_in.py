"""Pages of the console that let somebody in or out: sign-in, a first password, one's own account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from edgefleet_contract.errors import EdgefleetError, Forbidden, Unauthorized, UsageMalformed
from edgefleet_server import http_errors, own_page
from edgefleet_server.clock import SECOND
from edgefleet_server.console.pages import SEE_OTHER, templates
from edgefleet_server.fleet import Fleet, FleetHere
from edgefleet_server.gate import cookie_name
from edgefleet_server.rate_limits import origin_of
from edgefleet_server.users import sessions

Name = Annotated[str, Form(max_length=64)]
Secret = Annotated[str, Form(max_length=1024)]

router = APIRouter(include_in_schema=False, tags=["console"])


@router.get("/sign-in")
def sign_in_page(request: Request) -> Response:
    """Asks for a name and a password, or for a token."""
    return templates.TemplateResponse(request, "sign_in.html", {"wrong": None})


@router.post("/sign-in")
def sign_in(fleet: FleetHere, request: Request, name: Name = "", password: Secret = "", token: Secret = "") -> Response:
    """Begin a session."""

    def begin() -> str:
        origin = origin_of(request)
        if token:
            return fleet.gate.sign_in_by_token(token.strip(), origin)
        return fleet.gate.sign_in_by_password(name.strip(), password, origin)

    return _enter(fleet, request, "sign_in.html", begin, by_token=bool(token))


@router.get("/set-up")
def set_up_page(request: Request, name: str = "") -> Response:
    """Asks for the word that an admin gave, and for a password."""
    return templates.TemplateResponse(request, "set_up.html", {"wrong": None, "name": name[:64]})


@router.post("/set-up")
def set_up(fleet: FleetHere, request: Request, name: Name = "", word: Secret = "", password: Secret = "") -> Response:
    """Set a first password, and begin a session."""

    def begin() -> str:
        return fleet.gate.set_up(name.strip(), word.strip(), password, origin_of(request))

    return _enter(fleet, request, "set_up.html", begin, name=name)


@router.post("/sign-out")
def sign_out(fleet: FleetHere, request: Request, *, everywhere: Annotated[bool, Form()] = False) -> Response:
    """End the session; with ``everywhere`` all of the user's."""
    _check_own_page(request)
    principal = fleet.gate.signed_in(request)
    if everywhere and principal is not None:
        with fleet.change(principal) as change:
            sessions.end_all(change.session, principal)
            change.record("sign_out", everywhere=True)
    fleet.gate.sign_out(request)
    answer = RedirectResponse("/sign-in", SEE_OTHER)
    answer.delete_cookie(cookie_name(request))
    return answer


def _enter(fleet: Fleet, request: Request, page: str, begin: Callable[[], str], **shown: object) -> Response:
    """Begin a session and go to the console; or show the page again, and why."""
    _check_own_page(request)
    try:
        session = begin()
    except EdgefleetError as error:
        if not isinstance(error, (Unauthorized, UsageMalformed)) and error.code != "server.rate_limited":
            raise
        told = http_errors.response(error)
        headers = {"Retry-After": told.headers["Retry-After"]} if "Retry-After" in told.headers else None
        context = {"wrong": error.text(), **shown}
        return templates.TemplateResponse(request, page, context, status_code=told.status_code, headers=headers)
    fleet.gate.sign_out(request)  # whoever sat here before
    answer = RedirectResponse("/", SEE_OTHER)
    answer.set_cookie(
        cookie_name(request),
        session,
        max_age=sessions.LIFE // SECOND,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def _check_own_page(request: Request) -> None:
    """Refuse a form that another site's page sends: it could sign somebody in as the attacker.

    Raises:
        Forbidden: The browser says so.
    """
    if own_page.is_foreign(request):
        raise Forbidden("Another site's page has sent this form", remedy="Open the console itself.")
