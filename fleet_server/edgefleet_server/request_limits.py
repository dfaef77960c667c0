"""Bounds of requests to the operators' listener: the framework would read any amount into memory.

A body is a few kilobytes of JSON or of a form; only bundles and signed metadata may be longer.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgefleet_contract.errors import UsageMalformed
from edgefleet_server import http_errors

BODY = 1 << 20  # bytes
QUERY = 8 << 10  # bytes
# Routes that read their bodies themselves, to the disk or up to a bound of their own, after asking who sends them.
_OF_THEIR_OWN = ("/api/v1/blobs/", "/api/v1/releases", "/api/v1/trust")


class RequestLimits:
    """Refuses a request that is too long, at the latest when it becomes so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if len(scope["query_string"]) > QUERY:
            await http_errors.response(_too_long("query", QUERY), 414)(scope, receive, send)
            return
        if scope["path"].startswith(_OF_THEIR_OWN):
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced[:20]) > BODY:
            refusal = http_errors.response(_too_long("body", BODY), 413)
            refusal.headers["Connection"] = "close"
            await refusal(scope, receive, send)
            return
        await self._count(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that does not say how long it is, or that may lie."""
        seen = 0

        async def receive_counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > BODY:
                raise HTTPException(413, f"The body has more than {BODY} bytes")
            return message

        async def send_and_hang_up(message: Message) -> None:
            if message["type"] == "http.response.start" and seen > BODY:
                MutableHeaders(scope=message)["Connection"] = "close"  # or the rest would be read, to be thrown away
            await send(message)

        await self._app(scope, receive_counted, send_and_hang_up)


def _too_long(what: str, limit: int) -> UsageMalformed:
    return UsageMalformed(f"The request's {what} has more than {limit} bytes", expected=f"at most {limit}")
