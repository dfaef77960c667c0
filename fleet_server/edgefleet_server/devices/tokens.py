"""Claim tokens: made for an operator, used by one device, once, before they expire."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from sqlalchemy.orm import Session

from edgefleet_contract.errors import TokenRefused, UsageMalformed
from edgefleet_server.audit.change import Change
from edgefleet_server.clock import DAY, MINUTE
from edgefleet_server.devices.groups import check_tag
from edgefleet_server.devices.models import ClaimToken

DEFAULT_LIFE = DAY
MAX_LIFE = 365 * DAY


def create(change: Change, life: int, tags: dict[str, str]) -> tuple[ClaimToken, str]:
    """A new token and its secret, which is not kept.

    Args:
        change: The operator's.
        life: How long it may be used, in milliseconds.
        tags: For the device that will use it.

    Raises:
        UsageMalformed: A life that is too short or too long, or a tag that is none.
    """
    if not MINUTE <= life <= MAX_LIFE:
        raise UsageMalformed(f"The token would live {life} ms", expected=f"{MINUTE} to {MAX_LIFE} ms (a year)")
    for key, value in tags.items():
        check_tag(key, value)
    secret = secrets.token_urlsafe(32)
    token = ClaimToken(
        id=secrets.token_hex(8),
        secret_sha256=_hash(secret),
        tags=tags,
        created_at=change.now,
        expires_at=change.now + life,
    )
    change.session.add(token)
    change.record("token.created", token=token.id, expires=token.expires_at, tags=tags)
    return token, secret


def check(session: Session, now: int, token_id: str, secret: str, csr_key: str) -> ClaimToken:
    """The token, if this secret may use it now for this key. A device that lost the answer may ask again.

    Raises:
        TokenRefused: It is unknown, expired, or was used for another key.
    """
    token = session.get(ClaimToken, token_id)
    if token is None or not hmac.compare_digest(token.secret_sha256, _hash(secret)):
        raise TokenRefused("The claim token is unknown to this server", remedy="Make one: `edgefleet device token`.")
    if token.expires_at <= now:
        raise TokenRefused(
            f"The claim token {token.id} has expired",
            remedy="Make another one: `edgefleet device token`.",
            token=token.id,
        )
    if token.csr_key is not None and token.csr_key != csr_key:
        raise TokenRefused(
            f"The claim token {token.id} was used already, by {token.device_id}",
            remedy="Each device needs its own: `edgefleet device token`.",
            token=token.id,
        )
    return token


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
