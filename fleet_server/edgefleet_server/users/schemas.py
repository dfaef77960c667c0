"""What the API says of users and API tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from edgefleet_server.users.models import ApiToken, User
from edgefleet_server.users.roles import Principal

RoleName = Literal["viewer", "operator", "approver", "admin"]


class Me(BaseModel):
    """Whoever asks: their name, role and scopes (null: all that the role may)."""

    name: str
    role: RoleName
    scopes: list[str] | None


class UserAdd(BaseModel):
    """Adds a user."""

    name: str
    role: RoleName


class UserChange(BaseModel):
    """Changes what a user may do; what is left out stays."""

    role: RoleName | None = None
    disabled: bool | None = None


class PasswordChange(BaseModel):
    """Sets a password."""

    password: str = Field(max_length=1024)


class UserSchema(BaseModel):
    """A user. Times are UTC milliseconds.

    Attributes:
        has_password: Whether the user has set one; until then they cannot sign in.
    """

    name: str
    role: RoleName
    disabled: bool
    has_password: bool
    created_at: int
    last_sign_in: int | None


class UserSetup(BaseModel):
    """A user who is to set a password, with the word for it, which is shown once."""

    user: UserSchema
    word: str
    expires_at: int


class ApiTokenCreate(BaseModel):
    """Asks for an API token.

    Attributes:
        life_ms: How long it may be used.
        scopes: What it is for; null: all that the role may.
    """

    role: RoleName
    life_ms: int
    scopes: list[str] | None = None
    label: str = ""


class ApiTokenSchema(BaseModel):
    """An API token, without its secret. Times are UTC milliseconds; ``last_used`` is right to within minutes."""

    id: str
    label: str
    role: RoleName
    scopes: list[str] | None
    created_by: str
    created_at: int
    expires_at: int
    last_used: int | None
    revoked_at: int | None


class ApiTokenCreated(BaseModel):
    """A new API token and its text, which is shown once."""

    token: ApiTokenSchema
    text: str


def me_schema(principal: Principal) -> Me:
    """Describe whoever asks."""
    scopes = sorted(principal.scopes) if principal.scopes is not None else None
    return Me.model_validate({"name": principal.name, "role": principal.role.label, "scopes": scopes})


def user_schema(user: User) -> UserSchema:
    """Describe a user."""
    return UserSchema.model_validate(
        {
            "name": user.name,
            "role": user.role,
            "disabled": user.disabled,
            "has_password": user.password is not None,
            "created_at": user.created_at,
            "last_sign_in": user.last_sign_in,
        }
    )


def setup_schema(user: User, word: str) -> UserSetup:
    """Describe a user who is to set a password."""
    return UserSetup(user=user_schema(user), word=word, expires_at=user.setup_expires or 0)


def api_token_schema(token: ApiToken) -> ApiTokenSchema:
    """Describe a token."""
    return ApiTokenSchema.model_validate(token, from_attributes=True)
