"""Every route with every role, and with none: a table that is made from the application's own routes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import httpx
import pytest

from edgefleet_server.app import operator_app, operator_routes
from edgefleet_server.auth import least_role
from edgefleet_server.clock import DAY
from edgefleet_server.console.routes import PAGES
from edgefleet_server.rollouts.routes import Verb
from edgefleet_server.users import api_tokens
from edgefleet_server.users.roles import Role
from support.server_http import served
from support.server_people import TAGS, bearer, token, user
from support.server_state import Inside
from support.unchanged import unchanged

pytestmark = pytest.mark.attack

# The verbs of a rollout share a route; what lets devices run something needs more than the route itself.
STRICTER = {"start": Role.APPROVER, "resume": Role.APPROVER, "rollback": Role.APPROVER}


@dataclass(frozen=True)
class Act:
    """A route as it is called, and the least role that it needs."""

    method: str
    path: str
    least: Role


def acts() -> list[Act]:
    """Everything that somebody needs a role for."""
    found = []
    for route in operator_routes():
        role = least_role(route)
        if role is None:
            continue
        for method in route.methods - {"HEAD"}:
            verbs = get_args(Verb) if "{verb}" in route.path else ("",)
            for verb in verbs:
                path = re.sub(r"{\w+}", "1", route.path.replace("{verb}", verb))
                found.append(Act(method, path, max(role, STRICTER.get(verb, role))))
    return found


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    made = Inside(tmp_path_factory.mktemp("server"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(inside: Inside) -> Iterator[httpx.Client]:
    with served(operator_app(inside.fleet)) as opened:
        yield opened


def ask(client: httpx.Client, act: Act, headers: dict[str, str]) -> httpx.Response:
    return client.request(act.method, act.path, headers=headers, json=None if act.method == "GET" else {})


def code(answer: httpx.Response) -> str | None:
    """The code of the error that an answer tells; None when it tells none."""
    if not answer.headers.get("content-type", "").startswith("application/json") or answer.is_success:
        return None
    return str(answer.json()["error"]["code"])


def test_nobody_gets_past_the_sign_in(inside: Inside, client: httpx.Client) -> None:
    credentials: tuple[dict[str, str], ...] = (
        {}, bearer("wrong"), bearer("eft_0_0"), {"Authorization": "Bearer"}, {"Authorization": "Basic YTpi"},
        {"Cookie": "edgefleet_session=wrong"}, {"X-Forwarded-User": "admin"},
    )  # fmt: skip
    assert len(acts()) > 30
    with unchanged(inside.data.path):
        for act in acts():
            for headers in credentials:
                answer = ask(client, act, headers)
                if act.path in PAGES:
                    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in"), act
                else:
                    assert (answer.status_code, code(answer)) == (401, "auth.refused"), act


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.label)
def test_each_role_may_do_what_it_may_and_nothing_more(inside: Inside, client: httpx.Client, role: Role) -> None:
    headers = bearer(token(inside, role))
    client.get("/api/v1/me", headers=headers)  # writes down that the token was used
    with unchanged(inside.data.path):
        for act in acts():
            if act.least > role:
                answer = ask(client, act, headers)
                assert (answer.status_code, code(answer)) == (403, "auth.forbidden"), (act, answer.text)
    for act in acts():
        if act.least <= role:
            answer = ask(client, act, headers)
            assert answer.status_code < 500, (act, answer.text)
            assert code(answer) not in ("auth.forbidden", "auth.refused"), (act, answer.text)


def test_an_operator_may_plan_a_rollout_and_not_start_it(inside: Inside, client: httpx.Client) -> None:
    headers = bearer(token(inside, Role.OPERATOR))
    planned = {"release": "none@1.0.0", "to": "all", "start": False}
    assert client.post("/api/v1/rollouts", headers=headers, json=planned).status_code == 404
    with unchanged(inside.data.path):
        started = client.post("/api/v1/rollouts", headers=headers, json={**planned, "start": True})
    assert (started.status_code, code(started)) == (403, "auth.forbidden")


def test_an_operator_cannot_hand_what_a_device_runs_to_another(inside: Inside, client: httpx.Client) -> None:
    """A replacement is a rollout to one device, with the keys of private releases."""
    old, new = inside.device(), inside.device()
    replace = (f"/api/v1/devices/{old.id}/replace", {"by": new.id})
    operator, approver = (bearer(token(inside, role)) for role in (Role.OPERATOR, Role.APPROVER))
    client.get("/api/v1/me", headers=operator)  # writes down that the token was used
    with unchanged(inside.data.path):
        for path, body in (replace, (f"/api/v1/devices/{old.id}/revoke", {})):
            answer = client.post(path, headers=operator, json=body)
            assert (answer.status_code, code(answer)) == (403, "auth.forbidden")
    assert client.post(replace[0], headers=approver, json=replace[1]).status_code == 200


def test_a_token_for_one_thing_is_for_nothing_else(inside: Inside, client: httpx.Client) -> None:
    headers = bearer(token(inside, Role.ADMIN, "releases:push"))
    assert client.get("/api/v1/releases", headers=headers).status_code == 200
    with unchanged(inside.data.path):
        for act in acts():
            answer = ask(client, act, headers)
            pushes = act.path.startswith(("/api/v1/blobs", "/api/v1/releases"))
            pushes |= act.method == "GET" and act.path.startswith(("/api/v1/trust", "/api/v1/permits"))
            assert pushes == (code(answer) != "auth.forbidden"), (act, answer.text)


def test_a_token_that_pushes_releases_brings_no_root(tmp_path: Path) -> None:
    """Not even one that enough people have signed: which keys count is not for a build machine to change."""
    inside = Inside(tmp_path)
    label, base = inside.push(), inside.publisher.repository()
    draft = inside.publisher.rotation(base, ["root"], inside.online_keys.public(base.root), [], inside.clock())
    root = {"metadata": {name: data.decode() for name, data in draft.files().items()}}
    pushes, keys = (bearer(token(inside, Role.OPERATOR, scope)) for scope in ("releases:push", "trust:write"))
    with served(operator_app(inside.fleet)) as client:
        client.get("/api/v1/trust", headers=pushes)  # writes down that the token was used
        with unchanged(inside.data.path):
            alone = client.put("/api/v1/trust", headers=pushes, json=root)
            within = client.post("/api/v1/releases", headers=pushes, json={**root, "release": label})
        assert (alone.status_code, code(alone), code(within)) == (403, "auth.forbidden", "usage")
        assert client.put("/api/v1/trust", headers=keys, json=root).status_code == 200
    inside.close()


def test_a_token_makes_no_token_for_more_than_it_is_for(inside: Inside, client: httpx.Client) -> None:
    headers = bearer(token(inside, Role.ADMIN, "users:write", "devices:read"))
    client.get("/api/v1/me", headers=headers)  # writes down that the token was used
    asked = {"role": "admin", "life_ms": 3_600_000, "label": ""}
    with unchanged(inside.data.path):
        for scopes in (None, [], ["devices:write"], ["users:write", "releases:push"]):
            answer = client.post("/api/v1/api-tokens", headers=headers, json={**asked, "scopes": scopes})
            assert (answer.status_code, code(answer)) == (403, "auth.forbidden"), scopes
    made = client.post("/api/v1/api-tokens", headers=headers, json={**asked, "scopes": ["users:read", "devices:read"]})
    assert made.status_code == 201, made.text


@pytest.mark.parametrize("change", [{"disabled": True}, {"role": "viewer"}], ids=["disabled", "demoted"])
def test_the_tokens_of_an_admin_end_when_he_is_no_admin_any_more(
    inside: Inside, client: httpx.Client, change: dict[str, object]
) -> None:
    name = user(inside, "eve" + str(change.get("role", "")), Role.ADMIN)
    with inside.fleet.change(name) as act:
        made, first = api_tokens.create(act, Role.ADMIN, DAY, None, "", TAGS)
    with inside.fleet.change(f"token:{made.id}") as act:
        _, second = api_tokens.create(act, Role.ADMIN, DAY, None, "", TAGS)
    others = token(inside, Role.ADMIN)
    assert client.patch(f"/api/v1/users/{name}", headers=bearer(others), json=change).status_code == 200
    answered = [client.get("/api/v1/me", headers=bearer(text)).status_code for text in (first, second, others)]
    assert answered == [401, 401, 200]


def test_a_role_that_was_lowered_is_lower_at_the_next_request(inside: Inside, client: httpx.Client) -> None:
    text = token(inside, Role.ADMIN)
    assert client.get("/api/v1/users", headers=bearer(text)).status_code == 200
    assert client.delete(f"/api/v1/api-tokens/{text.split('_')[1]}", headers=bearer(text)).status_code == 200
    assert client.get("/api/v1/users", headers=bearer(text)).status_code == 401


def test_refused_acts_are_in_the_audit_log_and_cannot_fill_it(inside: Inside, client: httpx.Client) -> None:
    inside.clock.turn(24 * 3_600_000)
    headers = bearer(token(inside, Role.VIEWER))
    before = len(inside.acts())
    for _ in range(300):
        client.post("/api/v1/tokens", headers=headers, json={})
        client.get("/api/v1/devices", headers=bearer("wrong"))
    told = inside.acts()[before:]
    assert {"act.refused", "sign_in.refused"} <= set(told)
    assert len(told) <= 12, "one address fills a bucket of ten"
    inside.clock.turn(3_600_000)
    client.post("/api/v1/tokens", headers=headers, json={})
    [entry] = client.get("/api/v1/audit", params={"last": 1}, headers=headers).json()
    assert (entry["act"], entry["origin"]) == ("act.refused", "127.0.0.1")
    assert entry["details"]["needs"] == "operator"
    assert entry["details"]["untold_before"] > 500
