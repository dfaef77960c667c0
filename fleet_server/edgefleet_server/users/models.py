"""Tables of users, their sessions, and API tokens. No secret is kept: only what it hashes to."""

from __future__ import annotations

from sqlalchemy import JSON, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from edgefleet_server.db import Base


class User(Base):
    """A person. Users are disabled and never removed: the audit log speaks of them for ever.

    Attributes:
        role: Label of a role.
        password: As ``passwords`` writes it; None until the user has set one.
        setup_sha256: Hash of the word with which the user sets a password, until it is used or ``setup_expires``.
    """

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    password: Mapped[str | None] = mapped_column(String(256))
    setup_sha256: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    setup_expires: Mapped[int | None]
    disabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[int]
    last_sign_in: Mapped[int | None]


class ApiToken(Base):
    """A token with which a program asks.

    Attributes:
        id: Stands in the token itself, so that one that was found somewhere can be revoked.
        scopes: As ``devices:read``; None: all that the role may.
        last_used: To within a few minutes.
    """

    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    label: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    scopes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    created_by: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[int]
    expires_at: Mapped[int]
    last_used: Mapped[int | None]
    revoked_at: Mapped[int | None]


class Session(Base):
    """A browser that has signed in. Exactly one of user, API token and first admin token says as whom.

    Attributes:
        sha256: Of the cookie.
        admin_token: SHA-256 of the admin token that it was begun with: another token ends it.
    """

    __tablename__ = "sessions"

    sha256: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_name: Mapped[str | None] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    token_id: Mapped[str | None] = mapped_column(ForeignKey("api_tokens.id", ondelete="CASCADE"))
    admin_token: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    began_at: Mapped[int]
    expires_at: Mapped[int] = mapped_column(index=True)
