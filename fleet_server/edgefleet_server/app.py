"""Wiring of the two HTTP applications: the operators' (API and console) and the devices' (enrolment)."""

from __future__ import annotations

from itertools import product

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.routing import APIRoute

from edgefleet_contract.errors import Forbidden, Unauthorized
from edgefleet_server import http_errors
from edgefleet_server.alerts import routes as alerts
from edgefleet_server.alerts import service as alert_service
from edgefleet_server.audit import routes as audit
from edgefleet_server.auth import SAFE_METHODS, gate_of, least_role
from edgefleet_server.console import routes as console
from edgefleet_server.console import sign_in
from edgefleet_server.console.headers import SecurityHeaders
from edgefleet_server.console.pages import SEE_OTHER, static_files
from edgefleet_server.devices import batch_routes, device_routes
from edgefleet_server.devices import routes as devices
from edgefleet_server.devices import service as device_service
from edgefleet_server.erasure import routes as erasure
from edgefleet_server.fleet import Fleet, FleetHere
from edgefleet_server.metrics import CONTENT_TYPE, Labels
from edgefleet_server.rate_limits import limited_enrolment
from edgefleet_server.releases import routes as releases
from edgefleet_server.request_limits import RequestLimits
from edgefleet_server.rollouts import routes as rollouts
from edgefleet_server.rollouts import service as rollout_service
from edgefleet_server.samples import routes as samples
from edgefleet_server.telemetry import routes as telemetry
from edgefleet_server.trust import routes as trust
from edgefleet_server.users import api_tokens
from edgefleet_server.users import routes as users
from edgefleet_server.users.roles import Principal, Role

_PARTS = (
    devices, batch_routes, trust, releases, rollouts, telemetry, samples, erasure, alerts, audit, users,
    console, sign_in,
)  # fmt: skip

# Whoever has not signed in may ask for these.
OPEN = frozenset({"/sign-in", "/sign-out", "/set-up"})


def operator_app(fleet: Fleet) -> FastAPI:
    """The console, the API under /api/v1, /metrics and /healthz."""
    app = FastAPI(title="edgefleet", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.state.fleet = fleet
    http_errors.install(app)
    for part in _PARTS:
        app.include_router(part.router)
    app.state.tags = {tag for route in operator_routes() for tag in route.tags}  # of which scopes are made
    app.state.least_roles = _least_roles()
    app.add_exception_handler(Forbidden, _forbidden)
    app.add_exception_handler(Unauthorized, _unauthorized)
    app.mount("/static", static_files())
    app.add_api_route("/metrics", metrics, include_in_schema=False)
    app.add_api_route("/healthz", health, include_in_schema=False)
    app.add_middleware(RequestLimits)
    app.add_middleware(SecurityHeaders)
    return app


def operator_routes() -> list[APIRoute]:
    """The routes of the operators' listener that are for somebody: all but static files, metrics and health.

    Raises:
        AssertionError: One states no role, and is not of those that nobody needs a role for.
    """
    found = [route for part in _PARTS for route in part.router.routes if isinstance(route, APIRoute)]
    for route in found:
        wrong = "states no role" if least_role(route) is None else "states a role, and is open"
        assert (least_role(route) is None) == (route.path in OPEN), f"The route {route.path} {wrong}"
    return found


def _least_roles() -> dict[str, Role]:
    """For each scope, the lowest role that one of its routes asks for."""
    least: dict[str, Role] = {}
    for route in operator_routes():
        role = least_role(route)
        if role is None:  # open to everybody, whatever their token is for
            continue
        for tag, method in product(route.tags, route.methods or ()):
            scope = api_tokens.scope(str(tag), writes=method not in SAFE_METHODS)
            least[scope] = min(role, least.get(scope, role))
    return least


def device_app(fleet: Fleet) -> FastAPI:
    """What devices call."""
    app = FastAPI(title="edgefleet devices", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.fleet = fleet
    http_errors.install(app)
    app.include_router(device_routes.router, dependencies=[Depends(limited_enrolment)])
    return app


def metrics(fleet: FleetHere) -> Response:
    """Prometheus metrics: counts only, no names of devices, and so open to a scraper."""
    with fleet.database.read() as session:
        devices_by_state = device_service.state_counts(session)
        rollouts_by_state = rollout_service.state_counts(session)
        open_alerts = alert_service.open_counts(session)
    text = fleet.metrics.render(
        broker_connected=fleet.broker_connected(),
        gauges={
            "edgefleet_devices": ("Devices by the state they report.", _labelled("state", devices_by_state)),
            "edgefleet_rollouts": ("Rollouts by state.", _labelled("state", rollouts_by_state)),
            "edgefleet_open_alerts": ("Alerts that nobody has acknowledged.", _labelled("kind", open_alerts)),
        },
    )
    return Response(text, media_type=CONTENT_TYPE)


def health(fleet: FleetHere) -> JSONResponse:
    """200 when disk, broker and ingest work, else 503 and what is wrong."""
    writes, connected, hears = fleet.disk.works(), fleet.broker_connected(), fleet.hears_devices()
    report = {
        "disk": "ok" if writes else "failed",
        "broker": "ok" if connected else "unreachable",
        "ingest": "ok" if hears else "stopped",
    }
    return JSONResponse(report, 200 if writes and connected and hears else 503)


def _forbidden(request: Request, error: Exception) -> Response:
    """Say no, and write down who wanted what."""
    assert isinstance(error, Forbidden)
    principal = getattr(request.state, "principal", None)
    if isinstance(principal, Principal):
        gate_of(request).refusals.record(
            "act.refused",
            principal.name,
            principal.origin,
            method=request.method,
            path=request.url.path[:200],
            needs=error.facts.get("needs"),
        )
    return http_errors.response(error)


def _unauthorized(request: Request, error: Exception) -> Response:
    """Ask who it is: of a program by 401, of whoever opens a page by the sign-in."""
    assert isinstance(error, Unauthorized)
    if request.url.path in console.PAGES:
        return RedirectResponse("/sign-in", SEE_OTHER)
    return http_errors.response(error)


def _labelled(label: str, counts: dict[str, int]) -> dict[Labels, float]:
    return {((label, value),): count for value, count in counts.items()}
