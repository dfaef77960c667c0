"""The console under attack: stolen and forged sessions, other sites' pages, words of devices, guesses and floods."""

from __future__ import annotations

import contextlib
import json
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from edgefleet_server.app import OPEN, device_app, operator_app, operator_routes
from edgefleet_server.audit.models import AuditEntry
from edgefleet_server.auth import least_role
from edgefleet_server.authority import Authority
from edgefleet_server.clock import system_clock
from edgefleet_server.devices.models import Device, Tag
from edgefleet_server.listeners import Listener, bind
from edgefleet_server.rate_limits import Limiter, Rate
from edgefleet_server.users import accounts
from edgefleet_server.users.roles import Role
from support.server_http import served
from support.server_people import PASSWORD, bearer, token, user
from support.server_state import Inside
from support.unchanged import unchanged

pytestmark = pytest.mark.attack

OURS = {"Sec-Fetch-Site": "same-origin"}
SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
PAGES = ("/", "/audit", "/sign-in", "/set-up", "/static/console.js", "/static/console.css", "/nothing", "/metrics",
         "/healthz", "/api/v1/devices", "/api/v1/openapi.json", "/console/snapshot")  # fmt: skip


@pytest.fixture
def client(inside: Inside) -> Iterator[httpx.Client]:
    with served(operator_app(inside.fleet)) as opened:
        yield opened


def sign_in(client: httpx.Client, name: str = "jo", password: str = PASSWORD) -> httpx.Response:
    return client.post("/sign-in", data={"name": name, "password": password}, headers=OURS)


def test_a_password_opens_a_session_of_the_users_role(inside: Inside, client: httpx.Client) -> None:
    user(inside, "jo", Role.OPERATOR)
    answer = sign_in(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert client.get("/api/v1/me").json() == {"name": "jo", "role": "operator", "scopes": None}
    assert client.get("/api/v1/users").status_code == 403
    assert client.post("/api/v1/tokens", json={}, headers=OURS).status_code == 201
    assert ">jo<" in client.get("/").text
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[::1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "{own}"},
    ],
)
def test_another_sites_page_cannot_act_with_a_session(
    inside: Inside, client: httpx.Client, headers: dict[str, str]
) -> None:
    user(inside, "jo", Role.ADMIN)
    sign_in(client)
    own = str(client.base_url).rstrip("/")
    sent = {name: value.replace("{own}", own) for name, value in headers.items()}
    with unchanged(inside.data.path):
        assert client.post("/api/v1/tokens", json={}, headers=sent).status_code == 401
    assert client.get("/api/v1/devices", headers=sent).status_code == 200
    assert client.post("/api/v1/tokens", json={}, headers={"Origin": own}).status_code == 201


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/set-up"])
def test_another_sites_page_cannot_sign_anybody_in_or_out(inside: Inside, client: httpx.Client, path: str) -> None:
    user(inside)
    sign_in(client)
    with unchanged(inside.data.path):
        answer = client.post(
            path, data={"name": "jo", "password": PASSWORD}, headers={"Origin": "https://evil.example"}
        )
    assert answer.status_code == 403
    assert client.get("/api/v1/me").status_code == 200


def test_a_session_that_somebody_planted_is_not_the_one_that_is_used(inside: Inside, client: httpx.Client) -> None:
    user(inside)
    client.cookies.set("edgefleet_session", "planted")
    sign_in(client)
    first = client.cookies.get("edgefleet_session", domain="127.0.0.1")
    assert first != "planted"
    client.cookies.clear()
    client.cookies.set("edgefleet_session", str(first))
    sign_in(client)
    client.cookies.clear()
    client.cookies.set("edgefleet_session", str(first))
    assert client.get("/api/v1/me").status_code == 401, "signing in again ends the session of before"


def test_signing_out_everywhere_ends_a_stolen_session(inside: Inside, client: httpx.Client) -> None:
    user(inside)
    sign_in(client)
    stolen = dict(client.cookies)
    client.cookies.clear()
    sign_in(client)
    client.post("/sign-out", data={"everywhere": "true"}, headers=OURS)
    client.cookies.update(stolen)
    assert client.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize("act", ["disabled", "reset", "password"])
def test_shutting_a_user_out_ends_their_sessions(inside: Inside, client: httpx.Client, act: str) -> None:
    user(inside)
    sign_in(client)
    with inside.fleet.change("admin") as change:
        match act:
            case "disabled":
                accounts.set_disabled(change, "jo", True)
            case "reset":
                accounts.reset(change, "jo")
            case _:
                accounts.set_password(change, "jo", PASSWORD + "!")
    assert client.get("/api/v1/me").status_code == 401


def test_sessions_live_in_the_database_and_are_not_in_it(inside: Inside, client: httpx.Client) -> None:
    user(inside)
    sign_in(client)
    cookie = client.cookies["edgefleet_session"]
    assert cookie.encode() not in (inside.data.path / "edgefleet.db").read_bytes()
    with served(operator_app(inside.fleet)) as another_process:
        another_process.cookies.set("edgefleet_session", cookie)
        assert another_process.get("/api/v1/me").json()["name"] == "jo"


def test_passwords_cannot_be_tried_for_long(inside: Inside, client: httpx.Client) -> None:
    user(inside)
    inside.gate.limits.sign_in_origins = Limiter("sign-ins from this address", Rate(2, 0.1), inside.clock)
    answers = [sign_in(client, password=f"wrong password {number}") for number in range(3)]
    assert [answer.status_code for answer in answers] == [401] * 2 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert sign_in(client).status_code == 429, "the right one must not be found by trying"
    inside.clock.turn(60_000)
    assert sign_in(client).status_code == 303


def test_a_name_cannot_be_tried_from_many_addresses_for_long(inside: Inside) -> None:
    user(inside)
    inside.gate.limits.sign_in_names = Limiter("sign-ins with this name", Rate(2, 0.1), inside.clock)
    refused = 0
    for number in range(5):
        try:
            inside.gate.sign_in_by_password("jo", "wrong", f"192.0.2.{number}")
        except Exception as error:  # noqa: BLE001 - both refusals are counted
            refused += getattr(error, "code", "") == "server.rate_limited"
    assert refused == 3


def test_an_address_in_a_header_is_not_believed(inside: Inside, client: httpx.Client) -> None:
    user(inside)
    inside.gate.limits.sign_in_origins = Limiter("sign-ins from this address", Rate(2, 0.1), inside.clock)
    for number in range(2):
        sign_in(client, password="wrong")
        client.headers["X-Forwarded-For"] = f"192.0.2.{number}"
    assert sign_in(client).status_code == 429
    with inside.database.read() as session:
        origins = {entry.origin for entry in session.query(AuditEntry) if entry.act == "sign_in.refused"}
    assert origins == {"127.0.0.1"}


def test_one_principal_cannot_take_the_whole_server(inside: Inside, client: httpx.Client) -> None:
    inside.gate.limits.principals = Limiter("requests", Rate(5, 1), inside.clock)
    busy, other = bearer(token(inside, Role.ADMIN)), bearer(token(inside, Role.VIEWER))
    statuses = [client.get("/api/v1/devices", headers=busy).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert client.get("/api/v1/devices", headers=busy).json()["error"]["code"] == "server.rate_limited"
    assert client.get("/api/v1/devices", headers=other).status_code == 200


def test_one_address_cannot_flood_enrolment(inside: Inside) -> None:
    inside.gate.limits.enrolments = Limiter("enrolments from this address", Rate(3, 1), inside.clock)
    with served(device_app(inside.fleet)) as devices, unchanged(inside.data.path):
        statuses = [devices.post("/device/v1/enroll", content=b"{}").status_code for _ in range(4)]
    assert statuses[-1] == 429
    assert 429 not in statuses[:-1]


def test_every_answer_carries_every_security_header(inside: Inside, client: httpx.Client) -> None:
    user(inside, "jo", Role.ADMIN)
    sign_in(client)
    for path in PAGES:
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "http:" not in policy
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "strict-transport-security" not in headers, "this is plain HTTP"
        assert "server" not in headers


def test_words_of_devices_stay_words_on_every_page(inside: Inside, client: httpx.Client) -> None:
    user(inside, "jo", Role.ADMIN)
    device = inside.device()
    with inside.database.write() as session:
        row = session.get_one(Device, device.id)
        row.hardware, row.twin.agent, row.twin.error_code, row.twin.error_text = SCRIPT, SCRIPT, "x", SCRIPT
        row.tags.append(Tag(key="site", value=SCRIPT))
    with inside.fleet.change(SCRIPT[:64], SCRIPT[:45]) as change:
        change.record(SCRIPT[:64], device=SCRIPT[:18], text=SCRIPT, nested={SCRIPT: [SCRIPT]})
    sign_in(client)
    pages = [route.path for route in operator_routes() if "GET" in route.methods and "{" not in route.path]
    html = [client.get(path, params={"name": SCRIPT} if path == "/set-up" else None) for path in pages]
    html += [client.post("/set-up", data={"name": SCRIPT[:64], "word": "x", "password": "y"}, headers=OURS)]
    html = [answer for answer in html if answer.headers["content-type"].startswith("text/html")]
    assert len(html) >= 5
    for answer in html:
        assert "<script>alert" not in answer.text, answer.url
        assert "<img src=x" not in answer.text, answer.url
    audit = client.get("/audit").text
    assert "&lt;script&gt;alert(1)" in audit
    snapshot = client.get("/console/snapshot")
    assert snapshot.headers["content-type"] == "application/json"


def test_no_secret_is_ever_logged(
    inside: Inside, client: httpx.Client, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    user(inside)
    text = token(inside, Role.ADMIN)
    sign_in(client)
    sign_in(client, password="a wrong password")
    client.post("/sign-in", data={"token": text}, headers=OURS)
    client.get("/api/v1/devices", headers=bearer(text))
    client.get("/api/v1/devices", headers=bearer(text + "x"))
    made = client.post("/api/v1/users", json={"name": "al", "role": "viewer"}, headers=bearer(text)).json()
    captured = capfd.readouterr()
    told = caplog.text + captured.out + captured.err + json.dumps(client.get("/api/v1/audit").json())
    for secret in (
        PASSWORD,
        "a wrong password",
        text,
        text.split("_")[2],
        made["word"],
        str(inside.data.admin_token()),
    ):
        assert secret not in told


def test_nothing_is_open_that_is_not_meant_to_be() -> None:
    assert {route.path for route in operator_routes() if least_role(route) is None} == OPEN


def test_over_tls_the_cookie_and_the_browser_never_go_back_to_the_clear(inside: Inside, tmp_path: Path) -> None:
    user(inside)
    authority = Authority(tmp_path, system_clock)  # browsers have no clock that we could turn
    credentials = authority.issue_listener(["127.0.0.1"])
    bound = bind("127.0.0.1", 0, "--port")
    listener = Listener(operator_app(inside.fleet), bound, certificate=credentials.certificate, key=credentials.key)
    listener.start()
    trusting = ssl.create_default_context(cafile=authority.certificate_path)
    address = f"https://127.0.0.1:{bound.getsockname()[1]}"
    with contextlib.ExitStack() as running:
        running.callback(listener.stop)
        browser = running.enter_context(httpx.Client(base_url=address, verify=trusting, trust_env=False))
        answer = sign_in(browser)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-edgefleet_session=")
        assert "secure" in cookie.lower()
        assert "domain" not in cookie.lower()
        assert "max-age=31536000" in answer.headers["strict-transport-security"]
        assert browser.get("/api/v1/me").json()["name"] == "jo"
