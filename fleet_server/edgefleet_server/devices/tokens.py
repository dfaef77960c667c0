"""Claim tokens: made for an operator, used by one device, once, before they expire."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from sqlalchemy.orm import Session

from edgefleet_contract.errors import Conflict, TokenRefused, UsageMalformed
from edgefleet_server.audit.change import Change
from edgefleet_server.clock import DAY, MINUTE
from edgefleet_server.devices import service
from edgefleet_server.devices.groups import check_tag
from edgefleet_server.devices.models import ACTIVE, ClaimToken

DEFAULT_LIFE = DAY
MAX_LIFE = 365 * DAY


def create(change: Change, life: int, tags: dict[str, str], bound_to: str | None = None) -> tuple[ClaimToken, str]:
    """A new token and its secret, which is not kept.

    Args:
        change: The operator's.
        life: How long it may be used, in milliseconds.
        tags: For the device that will use it.
        bound_to: An enrolled device that gets a certificate again with it; None for a new device.

    Raises:
        UsageMalformed: A life that is too short or too long, or a tag that is none.
        NotFound: There is no such device.
        Conflict: It has left the fleet.
    """
    if not MINUTE <= life <= MAX_LIFE:
        raise UsageMalformed(f"The token would live {life} ms", expected=f"{MINUTE} to {MAX_LIFE} ms (a year)")
    for key, value in tags.items():
        check_tag(key, value)
    if bound_to is not None:
        _check_may_return(change.session, bound_to)
    secret = secrets.token_urlsafe(32)
    token = ClaimToken(
        id=secrets.token_hex(8),
        secret_sha256=_hash(secret),
        tags=tags,
        created_at=change.now,
        expires_at=change.now + life,
        bound_to=bound_to,
    )
    change.session.add(token)
    change.record("token.created", device=bound_to, token=token.id, expires=token.expires_at, tags=tags)
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


def _check_may_return(session: Session, device_id: str) -> None:
    device = service.device(session, device_id)
    if device.standing != ACTIVE:
        raise Conflict(
            f"Device {device_id} is {device.standing}",
            expected="an active device whose certificate has ended",
            remedy="Enroll the machine as a new device; `edgefleet device replace` gives it the old one's place.",
        )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
