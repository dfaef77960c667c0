"""Every route of the operators' listener states who may use it, and roles are ordered."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import Depends

from edgefleet_contract.errors import Forbidden, UsageMalformed
from edgefleet_server import app
from edgefleet_server.auth import least_role
from edgefleet_server.devices import routes as devices
from edgefleet_server.users.roles import Principal, Role


def test_every_route_states_its_least_role_but_those_of_the_sign_in() -> None:
    roles = {route.path: least_role(route) for route in app.operator_routes()}
    assert len(roles) > 20
    assert {path for path, role in roles.items() if role is None} == app.OPEN


def test_an_application_with_a_route_for_anybody_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(devices.router.routes)

    def forgotten(_word: Annotated[str, Depends(lambda: "")]) -> None:
        """A route whose author forgot who may use it."""

    monkeypatch.setattr(devices.router, "routes", before)
    devices.router.add_api_route("/forgotten", forgotten)
    try:
        with pytest.raises(AssertionError, match="forgotten states no role"):
            app.operator_routes()
    finally:
        devices.router.routes.pop()


def test_each_role_may_do_what_those_before_it_may() -> None:
    for mine in Role:
        for needed in Role:
            principal = Principal("jo", mine)
            if mine >= needed:
                principal.require(needed)
            else:
                with pytest.raises(Forbidden, match=f"needs the role {needed.label}, and jo is {mine.label}"):
                    principal.require(needed)


def test_a_role_that_is_none_is_refused_with_those_there_are() -> None:
    assert [Role.of(role.label) for role in Role] == list(Role)
    with pytest.raises(UsageMalformed, match="viewer, operator, approver, admin"):
        Role.of("root")
