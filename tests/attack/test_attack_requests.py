"""Requests that are too long, too deep, or meant for the database."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgefleet_server.app import operator_app
from edgefleet_server.devices.models import Device
from edgefleet_server.rate_limits import Limiter, Rate
from edgefleet_server.users.roles import Role
from support.server_http import served
from support.server_people import bearer, token
from support.server_state import Inside
from support.unchanged import unchanged

pytestmark = pytest.mark.attack


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    made = Inside(tmp_path_factory.mktemp("server"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(inside: Inside) -> Iterator[httpx.Client]:
    with served(operator_app(inside.fleet)) as opened:
        yield opened


BOMBS = {
    "depth": b"[" * 100_000 + b"]" * 100_000,
    "objects": b'{"tags":' * 50_000 + b"1" + b"}" * 50_000,
    "number": b'{"life_ms": ' + b"9" * 100_000 + b"}",
    "float": b'{"life_ms": 1e999999}',
    "nan": b'{"life_ms": NaN}',
    "surrogate": b'{"tags": {"\\ud800": "\\udfff"}}',
    "nul": b'{"tags": {"a\\u0000": "b"}}',
    "not utf-8": b'{"tags": {"a": "\xff"}}',
    "keys": json.dumps({"tags": {str(number): "x" for number in range(50_000)}}).encode(),
    "length": b'{"tags": {"a": "' + b"x" * (1 << 20) + b'"}}',
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_body_that_is_a_bomb_is_refused(inside: Inside, client: httpx.Client, bomb: str) -> None:
    headers = bearer(token(inside, Role.ADMIN)) | {"Content-Type": "application/json"}
    client.get("/api/v1/me", headers=headers)
    with unchanged(inside.data.path):
        answer = client.post("/api/v1/tokens", content=BOMBS[bomb], headers=headers)
    assert answer.status_code in (400, 413), answer.text
    assert answer.json()["error"]["code"] == "usage"
    assert len(answer.content) < 4000


def test_a_body_without_an_end_is_not_read_to_it(inside: Inside, client: httpx.Client) -> None:
    headers = bearer(token(inside, Role.ADMIN)) | {"Content-Type": "application/json"}
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 1 << 28:
            sent += 1 << 16
            yield b" " * (1 << 16)

    with contextlib.suppress(httpx.TransportError):  # the server hangs up before everything is sent
        assert client.post("/api/v1/tokens", content=endless(), headers=headers).status_code == 413
    assert sent < 1 << 26


def test_a_query_of_any_length_is_refused(client: httpx.Client) -> None:
    assert client.get("/api/v1/devices", params={"group": "a" * 9000}).status_code == 414


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(
    words=st.text(max_size=40)
    | st.sampled_from(["' OR 1=1 --", "x'; DROP TABLE devices; --", "site=' OR ''='", "%", "_", "all\0", "a=b=c"])
)
def test_no_filter_is_a_way_into_the_database(inside: Inside, client: httpx.Client, words: str) -> None:
    inside.gate.limits.principals = Limiter("requests", Rate(10**6, 10**6), inside.clock)
    headers = bearer(inside.data.admin_token() or "")
    asked = [
        ("/api/v1/devices", {"group": words}), ("/api/v1/devices", {"after": words}),
        ("/api/v1/audit", {"device": words}), ("/api/v1/audit", {"rollout": words}),
    ]  # fmt: skip
    for path, query in asked:
        answer = client.get(path, params=query, headers=headers)
        assert answer.status_code in (200, 400, 404), answer.text
        assert "sqlite" not in answer.text.lower()
    with inside.database.read() as session:
        assert session.query(Device).count() == 0
