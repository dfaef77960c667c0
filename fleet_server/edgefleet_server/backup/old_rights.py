"""What a backup would let in again: whatever opened the server when it was made, and may have been used or taken back.

The backup does not know. So all of it that can be made again with one command ends with the restore.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, update

from edgefleet_server.audit.change import Change
from edgefleet_server.devices.models import Certificate, ClaimBatch, ClaimToken
from edgefleet_server.users.models import ApiToken, Session, User

RESTORE = "restore"  # who acts, in the audit log


def end(change: Change, created: int) -> None:
    """End what was open in a backup that was made at ``created`` (UTC milliseconds)."""
    _end_claims(change, created)
    _end_api_tokens(change)
    _end_sign_ins(change)
    change.record("server.restored", backup=created)


def revoke(change: Change, serials: Collection[int]) -> None:
    """Revoke the certificates that a surviving revocation list names, as far as the backup knows them."""
    for serial in serials:
        certificate = change.session.get(Certificate, f"{serial:x}")
        if certificate is not None and certificate.revoked_at is None:
            certificate.revoked_at = change.now
    change.record("certificates.revoked_again", listed=len(serials))


def _end_claims(change: Change, created: int) -> None:
    open_tokens = (ClaimToken.used_at.is_(None)) & (ClaimToken.expires_at > created)
    change.session.execute(update(ClaimToken).where(open_tokens).values(expires_at=created))
    change.session.execute(update(ClaimBatch).where(ClaimBatch.closed_at.is_(None)).values(closed_at=change.now))


def _end_api_tokens(change: Change) -> None:
    change.session.execute(update(ApiToken).where(ApiToken.revoked_at.is_(None)).values(revoked_at=change.now))


def _end_sign_ins(change: Change) -> None:
    change.session.execute(delete(Session))
    change.session.execute(update(User).values(setup_sha256=None, setup_expires=None))
