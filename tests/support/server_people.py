"""People and programs who use a fleet server: users with a password, and tokens of each role."""

from __future__ import annotations

from edgefleet_server.app import operator_routes
from edgefleet_server.clock import DAY
from edgefleet_server.users import accounts, api_tokens
from edgefleet_server.users.roles import Role
from support.server_state import Inside

PASSWORD = "four words are enough"
TAGS = {str(tag) for route in operator_routes() for tag in route.tags}


def user(inside: Inside, name: str = "jo", role: Role = Role.VIEWER) -> str:
    """Add a user with :data:`PASSWORD`; their name."""
    with inside.fleet.change("admin") as change:
        accounts.add(change, name, role)
        accounts.set_password(change, name, PASSWORD)
    return name


def token(inside: Inside, role: Role, *scopes: str, life: int = DAY) -> str:
    """The text of a new API token."""
    with inside.fleet.change("admin") as change:
        return api_tokens.create(change, role, life, list(scopes) or None, "", TAGS)[1]


def bearer(text: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {text}"}
