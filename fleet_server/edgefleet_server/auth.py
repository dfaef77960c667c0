"""Who makes a request, and whether they may: each route states the least role that it needs.

A route takes one of ``Viewer``, ``OperatorRole``, ``Approver`` and ``Admin``; a route that takes none is refused when
the application is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from edgefleet_contract.errors import Forbidden
from edgefleet_server.gate import Gate
from edgefleet_server.users import api_tokens
from edgefleet_server.users.roles import Principal, Role

SAFE_METHODS = ("GET", "HEAD")

_LEAST: dict[Callable[..., object], Role] = {}


def gate_of(request: Request) -> Gate:
    """The gate of the server that answers ``request``."""
    gate = request.app.state.fleet.gate
    assert isinstance(gate, Gate)
    return gate


def _least(role: Role) -> Callable[[Request], Principal]:
    """A dependency that lets pass whoever has ``role`` at least, and the scope of the route."""

    def check(request: Request) -> Principal:
        principal = request.state.principal = gate_of(request).principal(request)
        _check_scope(request, principal)
        principal.require(role, f"{request.method} {request.url.path}")
        return principal

    _LEAST[check] = role
    return check


Viewer = Annotated[Principal, Depends(_least(Role.VIEWER))]
OperatorRole = Annotated[Principal, Depends(_least(Role.OPERATOR))]
Approver = Annotated[Principal, Depends(_least(Role.APPROVER))]
Admin = Annotated[Principal, Depends(_least(Role.ADMIN))]


def least_role(route: APIRoute) -> Role | None:
    """The role that a route states; None when it states none."""
    stated = [_LEAST[found.call] for found in route.dependant.dependencies if found.call in _LEAST]
    return max(stated, default=None)


def _check_scope(request: Request, principal: Principal) -> None:
    """Refuse an API token that is for something else.

    Raises:
        Forbidden: None of its scopes covers the route.
    """
    if principal.scopes is None:
        return
    [tag] = request.scope["route"].tags
    writes = request.method not in SAFE_METHODS
    if not api_tokens.allows(principal.scopes, tag, writes=writes):
        needed = api_tokens.scope(tag, writes=writes)
        raise Forbidden(
            f"{request.method} {request.url.path} needs the scope {needed}, and {principal.name} has "
            f"{', '.join(sorted(principal.scopes))}",
            remedy="An admin makes another token: `edgefleet token create --scope ...`.",
            needs=needed,
        )
