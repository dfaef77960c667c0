"""One request to the device listener of a fleet server, over HTTPS."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.parse
from dataclasses import dataclass

import msgspec

from edgefleet_agent import tls
from edgefleet_contract.enrolment import ENROLMENT_LIMIT
from edgefleet_contract.errors import ServerUnreachable, UsageMalformed, revive

_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Server:
    """The device listener of a fleet server.

    Attributes:
        url: As the user gave it.
        host, port: Taken from it.
    """

    url: str
    host: str
    port: int


def parse_server(url: str) -> Server:
    """The server of an ``https://HOST:PORT`` URL.

    Raises:
        UsageMalformed: It is none.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = None, None, None
    if parts is None or parts.scheme != "https" or not host or parts.path not in ("", "/"):
        raise UsageMalformed(
            f"The server is {url!r}",
            expected="the https:// URL of its device listener, such as https://fleet.example.org:8443",
        )
    return Server(url, host, port or 443)


def exchange(
    server: Server, context: ssl.SSLContext, method: str, path: str, body: bytes | None, now_ms: int | None = None
) -> bytes:
    """One HTTPS request, to whom is in date at ``now_ms`` (UTC milliseconds; by default as the system clock has it).

    Raises:
        ServerUnreachable: No answer, or no TLS.
        EdgefleetError: What the server says is wrong, in its own class.
    """
    connection = http.client.HTTPSConnection(server.host, server.port, timeout=_TIMEOUT_S, context=context)
    try:
        connection.connect()
        if context.verify_mode is ssl.CERT_REQUIRED:
            assert isinstance(connection.sock, ssl.SSLSocket)
            tls.check_in_date(connection.sock, time.time_ns() // 1_000_000 if now_ms is None else now_ms)
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        data = response.read(ENROLMENT_LIMIT + 1)
    except ssl.SSLError as cause:
        no_tls = "WRONG_VERSION_NUMBER" in str(cause) or "HTTP_REQUEST" in str(cause)
        raise ServerUnreachable(
            f"The fleet server {server.url!r} " + ("does not speak TLS" if no_tls else f"has no sound TLS: {cause}"),
            expected="the device listener, https",
            remedy="This may be the port of the console; use that of the device listener." if no_tls else "",
        ) from cause
    except (OSError, http.client.HTTPException) as cause:
        raise ServerUnreachable(
            f"The fleet server {server.url!r} does not answer: {cause}",
            remedy="Check its address and that it runs: `edgefleet server run`.",
        ) from cause
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise _refusal(server, response.status, data)
    return data


def trusting(authority: bytes) -> ssl.SSLContext:
    """TLS that believes the fleet's authority (PEM) alone; dates are judged as in ``tls``."""
    context = ssl.create_default_context(cadata=authority.decode())
    context.verify_flags |= tls.NO_CHECK_TIME
    return context


class _ErrorBody(msgspec.Struct):
    error: dict[str, object]


def _refusal(server: Server, status: int, body: bytes) -> Exception:
    try:
        return revive(msgspec.json.decode(body, type=_ErrorBody).error)
    except msgspec.DecodeError:
        return ServerUnreachable(
            f"{server.url!r} answers with HTTP status {status}",
            expected="a fleet server's device listener",
        )
