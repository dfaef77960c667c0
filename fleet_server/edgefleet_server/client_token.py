"""Which token a command sends, and to whom: never to a server that it is not for, and never for all to read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import httpx

from edgefleet_contract.errors import Unauthorized, UsageMalformed
from edgefleet_server.addresses import console_of
from edgefleet_server.config import is_loopback
from edgefleet_server.data_folder import admin_token_path


@dataclass(frozen=True)
class ClientToken:
    """The token of one session with a server.

    Attributes:
        text: What is sent; empty for none.
        withheld: Why the token of the data folder is not; None where that was not the question.
    """

    text: str
    withheld: str | None = None


def address(url: str) -> httpx.URL:
    """A console's address.

    Raises:
        UsageMalformed: It is none.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise UsageMalformed(
            f"The server's address is {url!r}",
            expected="http://HOST:PORT or https://HOST:PORT",
            remedy="Check --server, or EDGEFLEET_SERVER.",
        )
    return parsed


def token_for(server: httpx.URL, data: Path) -> ClientToken:
    """EDGEFLEET_TOKEN, else the admin token of ``data`` if ``server`` is the one that runs there.

    An address may come from somebody else, in a line to paste or a setting of a shared machine: what opens the server
    of ``data`` does not go there.

    Raises:
        UsageMalformed: The token would cross a network in the clear.
        Unauthorized: It cannot be read.
    """
    configured = os.environ.get("EDGEFLEET_TOKEN")
    if configured:
        _check_private(server)
        return ClientToken(configured)
    own = console_of(data)
    if own is None or _origin(server) != _origin(httpx.URL(own)):
        path = admin_token_path(data)
        return ClientToken("", f"{str(path)!r} belongs to the server at {own}" if own and path.exists() else None)
    _check_private(server)
    return ClientToken(_kept(admin_token_path(data)))


def _check_private(server: httpx.URL) -> None:
    if server.scheme == "http" and not is_loopback(server.host):
        raise UsageMalformed(
            f"The token would go to {str(server)!r} in the clear, for everybody on the way to read",
            expected="an https:// address, or one of this machine",
            remedy="Give the console a certificate (`edgefleet server run --certificate`), or reach it by `ssh -L`.",
        )


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _kept(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""  # the server will say what it needs, if it is there at all
    except OSError as cause:
        raise Unauthorized(
            f"The admin token {str(path)!r} cannot be read: {cause.strerror}",
            remedy="Run as the user who runs the server, or set EDGEFLEET_TOKEN.",
        ) from cause
