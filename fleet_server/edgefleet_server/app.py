"""Wiring of the two HTTP applications: the operators' (API and console) and the devices' (enrolment)."""

from __future__ import annotations

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from edgefleet_server import http_errors
from edgefleet_server.alerts import routes as alerts
from edgefleet_server.alerts import service as alert_service
from edgefleet_server.audit import routes as audit
from edgefleet_server.console import routes as console
from edgefleet_server.console.headers import SecurityHeaders
from edgefleet_server.devices import batch_routes, device_routes
from edgefleet_server.devices import routes as devices
from edgefleet_server.devices import service as device_service
from edgefleet_server.erasure import routes as erasure
from edgefleet_server.fleet import Fleet, FleetHere
from edgefleet_server.metrics import CONTENT_TYPE, Labels
from edgefleet_server.releases import routes as releases
from edgefleet_server.rollouts import routes as rollouts
from edgefleet_server.rollouts import service as rollout_service
from edgefleet_server.samples import routes as samples
from edgefleet_server.telemetry import routes as telemetry
from edgefleet_server.trust import routes as trust


def operator_app(fleet: Fleet) -> FastAPI:
    """The console, the API under /api/v1, /metrics and /healthz."""
    app = FastAPI(title="edgefleet", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.state.fleet = fleet
    http_errors.install(app)
    parts = (devices, batch_routes, trust, releases, rollouts, telemetry, samples, erasure, alerts, audit, console)
    for part in parts:
        app.include_router(part.router)
    app.mount("/static", console.static_files())
    app.add_api_route("/metrics", metrics, include_in_schema=False)
    app.add_api_route("/healthz", health, include_in_schema=False)
    app.add_middleware(SecurityHeaders)
    return app


def device_app(fleet: Fleet) -> FastAPI:
    """What devices call."""
    app = FastAPI(title="edgefleet devices", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.fleet = fleet
    http_errors.install(app)
    app.include_router(device_routes.router)
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
    """200 when the disk takes what is written and the broker has accepted this server, else 503 and what is wrong."""
    writes, connected = fleet.disk.works(), fleet.broker_connected()
    report = {"disk": "ok" if writes else "failed", "broker": "ok" if connected else "unreachable"}
    return JSONResponse(report, 200 if writes and connected else 503)


def _labelled(label: str, counts: dict[str, int]) -> dict[Labels, float]:
    return {((label, value),): count for value, count in counts.items()}
