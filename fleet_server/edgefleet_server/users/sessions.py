"""Sessions of browsers, in the database, so that every process of a server knows them.

A session lasts 12 hours. Its cookie is new at each sign-in, cannot be read by scripts and is not sent from other sites.
What its user may do is asked at each request: a role that was lowered is lower at once.
"""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.orm import Session as DatabaseSession

from edgefleet_server.clock import HOUR
from edgefleet_server.users import api_tokens
from edgefleet_server.users.models import ApiToken, Session, User
from edgefleet_server.users.roles import Principal, Role
from edgefleet_server.users.secrets import new_secret, sha256

LIFE = 12 * HOUR
FIRST_ADMIN = "admin"  # whoever has the admin token of the server's first start


def begin(
    session: DatabaseSession,
    now: int,
    *,
    user: str | None = None,
    token: str | None = None,
    admin_token: bytes | None = None,
) -> str:
    """A new session's cookie; those that are over are removed on the way."""
    cookie = new_secret()
    session.execute(delete(Session).where(Session.expires_at <= now))
    session.add(
        Session(
            sha256=sha256(cookie),
            user_name=user,
            token_id=token,
            admin_token=admin_token,
            began_at=now,
            expires_at=now + LIFE,
        )
    )
    return cookie


def end(session: DatabaseSession, cookie: str) -> None:
    """Sign one browser out."""
    session.execute(delete(Session).where(Session.sha256 == sha256(cookie)))


def end_all(session: DatabaseSession, who: Principal) -> None:
    """Sign all browsers out that speak for ``who``."""
    if who.token is not None:
        theirs = Session.token_id == who.token
    elif who.name == FIRST_ADMIN:
        theirs = Session.admin_token.is_not(None)
    else:
        theirs = Session.user_name == who.name
    session.execute(delete(Session).where(theirs))


def principal(
    session: DatabaseSession, now: int, cookie: str, origin: str | None, admin_token: bytes | None
) -> Principal | None:
    """Whom a session speaks for now; None when it speaks for nobody."""
    found = session.get(Session, sha256(cookie))
    if found is None or found.expires_at <= now:
        return None
    if found.user_name is not None:
        user = session.get_one(User, found.user_name)
        return None if user.disabled else Principal(user.name, Role.of(user.role), origin=origin, session=True)
    if found.token_id is not None:
        token = session.get_one(ApiToken, found.token_id)
        return of_token(token, origin, session=True) if api_tokens.is_alive(token, now) else None
    return Principal(FIRST_ADMIN, Role.ADMIN, origin=origin, session=True) if found.admin_token == admin_token else None


def of_token(token: ApiToken, origin: str | None, *, session: bool = False) -> Principal:
    """Whom an API token speaks for."""
    scopes = frozenset(token.scopes) if token.scopes is not None else None
    return Principal(f"token:{token.id}", Role.of(token.role), scopes, origin, token.id, session)
