"""The gate: tells by a request's token or session who makes it, and lets people sign in and out."""

from __future__ import annotations

import hmac

from fastapi import Request
from sqlalchemy import update

from edgefleet_contract.errors import Unauthorized
from edgefleet_server import own_page
from edgefleet_server.audit.change import Change
from edgefleet_server.audit.refusals import Refusals
from edgefleet_server.clock import MINUTE
from edgefleet_server.core import Core
from edgefleet_server.rate_limits import RateLimits, origin_of, site_of
from edgefleet_server.users import accounts, api_tokens, passwords, sessions
from edgefleet_server.users.models import ApiToken, User
from edgefleet_server.users.roles import Principal, Role
from edgefleet_server.users.secrets import sha256

_LAST_USED_TO_WITHIN = 5 * MINUTE  # so that a busy token does not write at each request
# Browsers take a cookie of this name only over TLS, and for no other host.
_COOKIE, _TLS_COOKIE = "edgefleet_session", "__Host-edgefleet_session"


class Gate:
    """Checks tokens, passwords and sessions.

    Args:
        core: Clock and database.
        admin_token: Of the server's first start; None once it is retired.

    Attributes:
        limits: How often somebody may ask.
        refusals: Writes down who was not let in.
    """

    def __init__(self, core: Core, admin_token: str | None) -> None:
        self._core = core
        self._admin_token = sha256(admin_token) if admin_token is not None else None
        self.limits = RateLimits(core.clock)
        self.refusals = Refusals(core, self.limits)

    def principal(self, request: Request) -> Principal:
        """Whoever makes this request.

        Raises:
            Unauthorized: It is nobody we know, or another site's page uses the console's session.
            RateLimited: They ask too often.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        origin = origin_of(request)
        if scheme.lower() == "bearer":
            found = self._of_token(token.strip(), origin)
        elif (signed_in := self.signed_in(request)) is not None and own_page.may_use_session(request):
            found = signed_in
        else:
            raise Unauthorized(
                "The request has no valid token",
                remedy="Set EDGEFLEET_TOKEN to an API token: `edgefleet token create --user NAME` makes one.",
            )
        self.limits.principals.take(found.name)
        return found

    def signed_in(self, request: Request) -> Principal | None:
        """Whom the console's session speaks for, if there is one."""
        cookie = request.cookies.get(cookie_name(request))
        if not cookie:
            return None
        with self._core.database.read() as session:
            return sessions.principal(session, self._core.clock(), cookie, origin_of(request), self._admin_token)

    def sign_in_by_password(self, name: str, password: str, origin: str | None) -> str:
        """A new session's cookie for a user.

        Raises:
            Unauthorized: There is no such user, or it is another password.
            RateLimited: It was tried too often.
        """
        self._limit_sign_in(origin, name)
        with self._core.database.read() as session:
            user = session.get(User, name)
        right = passwords.matches(password, user.password if user is not None else None)
        if user is None or user.disabled or not right:
            # What was typed as a name may be a password, typed into the wrong field.
            self.refusals.record("sign_in.refused", user.name if user is not None else "nobody", origin, by="password")
            raise Unauthorized("The name or the password is wrong")
        with self._core.change(name, origin) as change:
            return self._begin(change, name)

    def sign_in_by_token(self, token: str, origin: str | None) -> str:
        """A new session's cookie for whoever has an API token, or the first admin token.

        Raises:
            Unauthorized: It is none.
            RateLimited: It was tried too often.
        """
        self._limit_sign_in(origin)
        found = self._of_token(token, origin)
        with self._core.change(found) as change:
            change.record("sign_in", by="token")
            admin_token = self._admin_token if found.token is None else None
            return sessions.begin(change.session, change.now, token=found.token, admin_token=admin_token)

    def set_up(self, name: str, word: str, password: str, origin: str | None) -> str:
        """Set a user's first password by the word that an admin gave them; a new session's cookie.

        Raises:
            Unauthorized: It is not their word, or no longer.
            UsageMalformed: The password is too easily guessed.
            RateLimited: It was tried too often.
        """
        self._limit_sign_in(origin, name)
        try:
            with self._core.change(name, origin) as change:
                accounts.check_setup_word(change.session, change.now, name, word)
                accounts.set_password(change, name, password)
                return self._begin(change, name)
        except Unauthorized:
            self.refusals.record("sign_in.refused", "nobody", origin, by="setup word")
            raise

    def sign_out(self, request: Request) -> None:
        """End the session of this browser."""
        with self._core.database.write() as session:
            sessions.end(session, request.cookies.get(cookie_name(request), ""))

    def _begin(self, change: Change, name: str) -> str:
        change.session.get_one(User, name).last_sign_in = change.now
        change.record("sign_in", by="password")
        return sessions.begin(change.session, change.now, user=name)

    def _limit_sign_in(self, origin: str | None, name: str | None = None) -> None:
        self.limits.sign_in_origins.take(site_of(origin))
        if name is not None:
            self.limits.sign_in_names.take(name)

    def _of_token(self, token: str, origin: str | None) -> Principal:
        """Whoever has this token.

        Raises:
            Unauthorized: It is nobody's, or no longer.
        """
        if token.startswith(api_tokens.PREFIX):
            return self._of_api_token(token, origin)
        if self._admin_token is not None and hmac.compare_digest(sha256(token), self._admin_token):
            return Principal(sessions.FIRST_ADMIN, Role.ADMIN, origin=origin)
        self.refusals.record("sign_in.refused", "nobody", origin, by="token")
        if self._admin_token is None:
            raise Unauthorized(
                "The admin token of this server is retired",
                remedy="Set EDGEFLEET_TOKEN to an API token: `edgefleet token create --user NAME` makes one.",
            )
        raise Unauthorized("The admin token is wrong", remedy="It stands in admin.token in the server's data folder.")

    def _of_api_token(self, text: str, origin: str | None) -> Principal:
        now = self._core.clock()
        try:
            with self._core.database.read() as session:
                token = api_tokens.check(session, now, text)
        except Unauthorized as error:
            self.refusals.record("sign_in.refused", "nobody", origin, by="API token", why=error.seen)
            raise
        if token.last_used is None or now - token.last_used >= _LAST_USED_TO_WITHIN:
            with self._core.database.write() as session:
                session.execute(update(ApiToken).where(ApiToken.id == token.id).values(last_used=now))
        return sessions.of_token(token, origin)


def cookie_name(request: Request) -> str:
    """The name of the session's cookie."""
    return _TLS_COOKIE if request.url.scheme == "https" else _COOKIE
