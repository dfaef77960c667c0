"""Everything that the OpenAPI allows, and much that it does not, asked of a running server as each role and as nobody.

schemathesis draws the requests, from a fixed seed. What is asserted: the server never fails, and nobody
does more than their role lets them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.generation.case import Case

from edgefleet_server.app import operator_app
from edgefleet_server.rate_limits import Limiter, Rate
from edgefleet_server.users.roles import Role
from support.server_http import served
from support.server_people import bearer, token
from support.server_state import Inside
from support.unchanged import unchanged

pytestmark = [pytest.mark.attack, pytest.mark.integration]

CASES = 8  # a route, well-formed and malformed
ACTS = {
    Role.OPERATOR: {"token.created", "device.tagged", "alert.acknowledged", "rollout.created", "release.pushed"},
    Role.APPROVER: {"rollout.started", "rollout.resumed", "rollout.rollback_ordered"},
}


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    """A server with a device and a release, without limits of its own on requests."""
    made = Inside(tmp_path)
    made.gate.limits.principals = Limiter("requests", Rate(1 << 30, 1 << 30), made.clock)
    made.device(site="south")
    made.push()
    yield made
    made.close()


@pytest.fixture
def client(inside: Inside) -> Iterator[httpx.Client]:
    with served(operator_app(inside.fleet)) as opened:
        yield opened


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """What is asked as everybody: drawing it takes longer than asking."""
    made = Inside(tmp_path_factory.mktemp("described"))
    schema = schemathesis.openapi.from_dict(operator_app(made.fleet).openapi())
    made.close()
    drawn: list[Case] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        drawn += _drawn(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
        if operation.query or operation.body:  # any text is right in a path
            drawn += _drawn(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    return drawn


def _drawn(strategy: object) -> list[Case]:
    found: list[Case] = []

    @seed(6)
    @settings(
        max_examples=CASES, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=strategy)  # type: ignore[arg-type] # hypothesis and schemathesis spell the type of strategies apart
    def draw(case: Case) -> None:
        found.append(case)

    draw()
    return found


def ask_everything(cases: list[Case], client: httpx.Client, headers: dict[str, str]) -> Counter[int]:
    """Ask all of it; how often each status came."""
    statuses: Counter[int] = Counter()
    for case in cases:
        answer = case.call(base_url=str(client.base_url), headers=headers)
        statuses[answer.status_code] += 1
        assert answer.status_code < 500, (case.as_curl_command(), answer.text)
    return statuses


def test_whoever_has_no_token_gets_nothing_but_a_refusal(
    inside: Inside, client: httpx.Client, cases: list[Case]
) -> None:
    with unchanged(inside.data.path):
        statuses = ask_everything(cases, client, {})
    # 400: a body that is no JSON is told before anybody asks who sent it.
    assert set(statuses) <= {400, 401, 404, 405, 413, 414}, statuses
    assert statuses[401] > 150, statuses


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.label)
def test_no_request_makes_the_server_fail_or_goes_beyond_a_role(
    inside: Inside, client: httpx.Client, cases: list[Case], role: Role
) -> None:
    headers = bearer(token(inside, role))
    client.get("/api/v1/me", headers=headers)
    before = len(inside.acts())
    if role is Role.VIEWER:
        with unchanged(inside.data.path):
            statuses = ask_everything(cases, client, headers)
    else:
        statuses = ask_everything(cases, client, headers)
    allowed = {"act.refused"}.union(*(acts for least, acts in ACTS.items() if least <= role))
    if role is not Role.ADMIN:
        assert set(inside.acts()[before:]) <= allowed
    assert statuses[200] > 20, statuses
    assert role is Role.ADMIN or statuses[403] > 40, statuses
