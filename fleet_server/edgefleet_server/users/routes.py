"""Routes of users and API tokens: an admin's, but for asking who one is."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, Request

from edgefleet_server.auth import Admin, Viewer
from edgefleet_server.fleet import FleetHere
from edgefleet_server.users import accounts, api_tokens
from edgefleet_server.users.roles import Role
from edgefleet_server.users.schemas import (
    ApiTokenCreate,
    ApiTokenCreated,
    ApiTokenSchema,
    Me,
    PasswordChange,
    UserAdd,
    UserChange,
    UserSchema,
    UserSetup,
    api_token_schema,
    me_schema,
    setup_schema,
    user_schema,
)

router = APIRouter(prefix="/api/v1", tags=["users"])


@router.get("/me")
def who_am_i(viewer: Viewer) -> Me:
    """Whoever asks, as the server knows them."""
    return me_schema(viewer)


@router.get("/users")
def list_users(fleet: FleetHere, _admin: Admin) -> list[UserSchema]:
    """All users, by name."""
    with fleet.database.read() as session:
        return [user_schema(user) for user in accounts.users(session)]


@router.post("/users", status_code=201)
def add_user(fleet: FleetHere, admin: Admin, request: UserAdd) -> UserSetup:
    """Add a user; the word in the answer lets them set a password, once, within a day."""
    with fleet.change(admin) as change:
        return setup_schema(*accounts.add(change, request.name, Role.of(request.role)))


@router.patch("/users/{name}")
def change_user(fleet: FleetHere, admin: Admin, name: str, request: UserChange) -> UserSchema:
    """Give a user another role, shut them out, or let them in again."""
    with fleet.change(admin) as change:
        user = accounts.user(change.session, name)
        if request.role is not None:
            accounts.set_role(change, name, Role.of(request.role))
        if request.disabled is not None:
            accounts.set_disabled(change, name, request.disabled)
        return user_schema(user)


@router.post("/users/{name}/reset")
def reset_user(fleet: FleetHere, admin: Admin, name: str) -> UserSetup:
    """Take a user's password away and sign them out; the word in the answer lets them set another."""
    with fleet.change(admin) as change:
        return setup_schema(*accounts.reset(change, name))


@router.put("/users/{name}/password")
def set_password(fleet: FleetHere, admin: Admin, name: str, request: PasswordChange) -> UserSchema:
    """Set a user's password, and sign them out."""
    with fleet.change(admin) as change:
        return user_schema(accounts.set_password(change, name, request.password))


@router.get("/api-tokens")
def list_api_tokens(fleet: FleetHere, _admin: Admin) -> list[ApiTokenSchema]:
    """All API tokens, the newest first."""
    with fleet.database.read() as session:
        return [api_token_schema(token) for token in api_tokens.tokens(session)]


@router.post("/api-tokens", status_code=201)
def create_api_token(fleet: FleetHere, admin: Admin, request: Request, asked: ApiTokenCreate) -> ApiTokenCreated:
    """Make an API token, for no more than whoever makes it; its text is in this answer and nowhere else."""
    tags: Iterable[str] = request.app.state.tags
    api_tokens.check_within(admin, asked.scopes)
    api_tokens.check_within_role(Role.of(asked.role), asked.scopes, request.app.state.least_roles)
    with fleet.change(admin) as change:
        token, text = api_tokens.create(
            change, Role.of(asked.role), asked.life_ms, asked.scopes, asked.label, frozenset(tags)
        )
        return ApiTokenCreated(token=api_token_schema(token), text=text)


@router.delete("/api-tokens/{token_id}")
def revoke_api_token(fleet: FleetHere, admin: Admin, token_id: str) -> ApiTokenSchema:
    """End an API token, the sessions that it began, and the tokens that were made with it."""
    with fleet.change(admin) as change:
        return api_token_schema(api_tokens.revoke(change, token_id))
