"""Whether a browser's request comes from a page of ours: no other site may act with somebody's session.

The cookie's ``SameSite=Strict`` says so already; this holds where a browser does not, and between ports of one host,
which are one site. Browsers tell by ``Sec-Fetch-Site``, older ones by ``Origin``.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request

_SAFE_METHODS = ("GET", "HEAD")


def may_use_session(request: Request) -> bool:
    """Whether a session's cookie counts: always for what only reads, else only when the browser says it is our page."""
    return request.method in _SAFE_METHODS or _is_ours(request) is True


def is_foreign(request: Request) -> bool:
    """Whether the browser says that another site's page sends this; what is no browser says nothing."""
    return _is_ours(request) is False


def _is_ours(request: Request) -> bool | None:
    """What the browser says; None when it says nothing."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    if origin is not None:
        try:
            return urlsplit(origin).netloc == request.headers.get("host")
        except ValueError:
            return False
    return None
