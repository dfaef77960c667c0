"""API tokens: ``eft_ID_SECRET``, shown once, for programs; each has a role, an end, and perhaps scopes.

The scope of a route follows from its tag and method: ``devices:read``, ``rollouts:write``; writing includes reading.
For releases it is called ``releases:push``.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_contract.errors import Forbidden, NotFound, Unauthorized, UsageMalformed
from edgefleet_server.audit.change import Change
from edgefleet_server.clock import DAY, MINUTE, SECOND
from edgefleet_server.users.models import ApiToken
from edgefleet_server.users.roles import Principal, Role
from edgefleet_server.users.secrets import new_secret, sha256

PREFIX = "eft_"
LONGEST_LIFE = 366 * DAY
READ = "read"
_REMEDY = "An admin makes another: `edgefleet token create`."
_WRITING = {"releases": "push"}


def scope(tag: str, *, writes: bool) -> str:
    """The scope of a route with this tag."""
    return f"{tag}:{_WRITING.get(tag, 'write') if writes else READ}"


def allows(scopes: Collection[str], tag: str, *, writes: bool) -> bool:
    """Whether a token with these scopes may use a route with this tag."""
    return scope(tag, writes=True) in scopes or (not writes and scope(tag, writes=False) in scopes)


def check_within(maker: Principal, scopes: Collection[str] | None) -> None:
    """Refuse a token that is for more than the one with which it is made.

    Raises:
        Forbidden: It is.
    """
    if maker.scopes is None:
        return
    beyond = [wanted for wanted in scopes or () if not _covers(maker.scopes, wanted)]
    if not scopes or beyond:
        raise Forbidden(
            f"The token would be for {beyond[0] if beyond else 'everything'}, and {maker.name} is for less",
            expected=f"scopes within {', '.join(sorted(maker.scopes))}",
        )


def _covers(scopes: Collection[str], wanted: str) -> bool:
    tag, _, act = wanted.partition(":")
    return allows(scopes, tag, writes=act != READ)


def create(
    change: Change, role: Role, life: int, scopes: list[str] | None, label: str, tags: Collection[str]
) -> tuple[ApiToken, str]:
    """A new token and its text, which is not kept.

    Args:
        change: The admin's.
        role: The most that it may do.
        life: In milliseconds; a token that never ends is not made.
        scopes: What it is for; None: all that the role may.
        label: For people.
        tags: Those that routes have.

    Raises:
        UsageMalformed: A life that is too short or too long, an unknown scope, or a label that is too long.
    """
    if not MINUTE <= life <= LONGEST_LIFE:
        raise UsageMalformed(f"The token would live {_in_words(life)}", expected="a minute to 366 days")
    known = {scope(tag, writes=writes) for tag in tags for writes in (False, True)}
    unknown = sorted(set(scopes or ()) - known)
    if unknown:
        raise UsageMalformed(f"The scope is {unknown[0]!r}", expected=", ".join(sorted(known)))
    if len(label) > 64 or not label.isprintable():
        raise UsageMalformed(f"The label is {label!r}", expected="at most 64 printable characters")
    secret = new_secret()
    token = ApiToken(
        id=secrets.token_hex(6),
        secret_sha256=sha256(secret),
        label=label,
        role=role.label,
        scopes=sorted(set(scopes)) if scopes else None,
        created_by=change.actor,
        created_at=change.now,
        expires_at=change.now + life,
    )
    change.session.add(token)
    change.record("api_token.created", token=token.id, role=role.label, scopes=token.scopes, expires=token.expires_at)
    return token, f"{PREFIX}{token.id}_{secret}"


def check_within_role(role: Role, scopes: list[str] | None, least: Mapping[str, Role]) -> None:
    """Refuse scopes that a token of ``role`` could never use: whoever asks for them means another role.

    Args:
        role: The token's.
        scopes: What it is to be for.
        least: The lowest role that any route of a scope asks for.

    Raises:
        UsageMalformed: One is above the role.
    """
    for wanted in scopes or ():
        if least.get(wanted, role) > role:
            raise UsageMalformed(
                f"The scope {wanted} is of no use to a token of the role {role.label}",
                expected=f"a token of the role {least[wanted].label} at least, or another scope",
            )


def check(session: Session, now: int, text: str) -> ApiToken:
    """The token whose text this is.

    Raises:
        Unauthorized: It is unknown, revoked or expired.
    """
    token_id, _, secret = text.removeprefix(PREFIX).partition("_")
    token = session.get(ApiToken, token_id)
    if token is None or not hmac.compare_digest(token.secret_sha256, sha256(secret)):
        raise Unauthorized("The API token is unknown to this server", remedy=_REMEDY)
    if not is_alive(token, now):
        over = "was revoked" if token.revoked_at is not None else "has expired"
        raise Unauthorized(f"The API token {token.id} {over}", remedy=_REMEDY)
    return token


def is_alive(token: ApiToken, now: int) -> bool:
    """Whether a token has been neither revoked nor outlived."""
    return token.revoked_at is None and now < token.expires_at


def tokens(session: Session) -> list[ApiToken]:
    """All tokens, the newest first."""
    return list(session.scalars(select(ApiToken).order_by(ApiToken.created_at.desc(), ApiToken.id)))


def revoke(change: Change, token_id: str) -> ApiToken:
    """End a token, and the sessions that it began; one that is revoked stays so.

    Raises:
        NotFound: There is none with this id.
    """
    token = change.session.get(ApiToken, token_id)
    if token is None:
        raise NotFound(f"There is no API token {token_id!r}", remedy="`edgefleet token list` shows them.")
    if token.revoked_at is None:
        token.revoked_at = change.now
        change.record("api_token.revoked", token=token.id)
        revoke_made_by(change, f"token:{token.id}")
    return token


def revoke_made_by(change: Change, maker: str) -> None:
    """End all tokens that ``maker`` has made, and those that were made with these: nobody answers for them now."""
    query = select(ApiToken.id).where(ApiToken.created_by == maker, ApiToken.revoked_at.is_(None))
    for token_id in change.session.scalars(query).all():
        revoke(change, token_id)


def _in_words(life: int) -> str:
    return f"{life // DAY} days" if life >= DAY else f"{life / SECOND:g} s"
