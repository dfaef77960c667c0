"""Errors over HTTP: ``{"error": {code, seen, expected, remedy, facts}}``, with a status for each branch of the tree."""

from __future__ import annotations

import json
import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from edgefleet_contract.errors import (
    Conflict,
    EdgefleetError,
    Forbidden,
    GateError,
    InputError,
    NotFound,
    RateLimited,
    ServerDiskFailed,
    Unauthorized,
    UnreachableError,
    UsageMalformed,
    VerificationError,
)
from edgefleet_server.storage import disk_failure

_log = logging.getLogger(__name__)

# The first class that fits decides.
_STATUS: tuple[tuple[type[EdgefleetError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (InputError, 400),
    (Unauthorized, 401),
    (Forbidden, 403),
    (RateLimited, 429),
    (VerificationError, 403),
    (GateError, 422),
    (UnreachableError, 503),
    (ServerDiskFailed, 507),
    (EdgefleetError, 500),
)


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error in our form."""
    app.add_exception_handler(EdgefleetError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OSError, _of_the_system)
    app.add_exception_handler(Exception, _unknown)


def response(error: EdgefleetError, status: int | None = None) -> JSONResponse:
    """``error`` as an answer."""
    if status is None:
        status = next(number for kind, number in _STATUS if isinstance(error, kind))
    headers = {"Retry-After": str(error.facts["retry_after"])} if isinstance(error, RateLimited) else None
    return JSONResponse({"error": json.loads(json.dumps(error.as_json(), default=str))}, status, headers)


async def _known(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EdgefleetError)
    if error.exit_status == 1:  # our fault: the log says so too
        _log.error("%s %s failed: [%s] %s", request.method, request.url.path, error.code, error.text())
    return response(error)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return response(
        UsageMalformed(f"The request's {place} is not valid: {first['msg']}", remedy="See /api/v1/openapi.json.")
    )


async def _http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = NotFound if error.status_code == 404 else UsageMalformed
    return response(kind(f"The request was refused: {error.detail}"), error.status_code)


async def _of_the_system(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OSError)
    told = disk_failure(error)
    return await _unknown(request, error) if told is None else await _known(request, told)


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    _log.exception("%s %s failed", request.method, request.url.path, exc_info=error)
    return response(EdgefleetError("The server failed at this request", remedy="Its log says why."))
