"""Who may speak as an operator: whoever has the admin token, as a bearer token or through the console's session."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from typing import Annotated

from fastapi import Depends, Request

from edgefleet_contract.errors import Unauthorized
from edgefleet_server.clock import HOUR, Clock

SESSION_COOKIE = "edgefleet_session"
SESSION_LIFE = 12 * HOUR
_ADMIN = "admin"
_SAFE_METHODS = ("GET", "HEAD")
_SESSIONS_LIMIT = 100


class Gate:
    """Checks tokens and keeps the console's sessions, which end with the process."""

    def __init__(self, admin_token: str, clock: Clock) -> None:
        self._token = _hash(admin_token)
        self._clock = clock
        self._sessions: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def sign_in(self, token: str) -> str:
        """A new session for whoever has the admin token.

        Raises:
            Unauthorized: It is not the token.
        """
        self._check_token(token)
        session = secrets.token_urlsafe(32)
        with self._lock:
            while len(self._sessions) >= _SESSIONS_LIMIT:
                del self._sessions[min(self._sessions, key=self._sessions.__getitem__)]
            self._sessions[_hash(session)] = self._clock() + SESSION_LIFE
        return session

    def sign_out(self, session: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(_hash(session), None)

    def has_session(self, request: Request) -> bool:
        """Whether the request comes from a signed-in console."""
        cookie = request.cookies.get(SESSION_COOKIE, "")
        with self._lock:
            return self._sessions.get(_hash(cookie), 0) > self._clock()

    def operator(self, request: Request) -> str:
        """The name of the operator who makes this request.

        Raises:
            Unauthorized: It is nobody we know, or another site's page uses the console's session.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            self._check_token(token.strip())
            return _ADMIN
        if self.has_session(request) and (request.method in _SAFE_METHODS or _is_same_origin(request)):
            return _ADMIN
        raise Unauthorized(
            "The request has no valid token",
            remedy="Set EDGEFLEET_TOKEN to the contents of admin.token in the server's data folder.",
        )

    def _check_token(self, token: str) -> None:
        if not hmac.compare_digest(_hash(token), self._token):
            raise Unauthorized(
                "The admin token is wrong", remedy="It stands in admin.token in the server's data folder."
            )


def _operator(request: Request) -> str:
    gate = request.app.state.fleet.gate
    assert isinstance(gate, Gate)
    return gate.operator(request)


Operator = Annotated[str, Depends(_operator)]


def _is_same_origin(request: Request) -> bool:
    """Whether a browser says that our own page asks; SameSite=Strict already keeps the cookie from other sites."""
    return request.headers.get("sec-fetch-site", "same-origin") == "same-origin"


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
