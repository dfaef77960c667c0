"""The operators' HTTP interface: who may ask, how errors look, and what the console does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from edgefleet_contract import canonical
from edgefleet_contract.enrolment import AUTHORITY_PATH, ENROLL_PATH
from edgefleet_contract.errors import revive
from edgefleet_server.alerts import service as alerts
from edgefleet_server.app import device_app, operator_app
from edgefleet_server.bodies import METADATA_BODY_LIMIT
from edgefleet_server.releases.models import Blob
from edgefleet_server.users.sessions import LIFE
from support.disks import files_of_at_most
from support.server_http import served
from support.server_state import Inside
from support.tiny_bundles import tiny_bundle

pytestmark = pytest.mark.integration

OPEN_TO_ALL = {"/", "/sign-in", "/sign-out", "/metrics", "/healthz", "/api/v1/openapi.json"}


@pytest.fixture
def anybody(inside: Inside) -> Iterator[httpx.Client]:
    """A client without credentials."""
    with served(operator_app(inside.fleet)) as client:
        yield client


@pytest.fixture
def admin(inside: Inside) -> Iterator[httpx.Client]:
    """A client with the admin token."""
    with served(operator_app(inside.fleet)) as client:
        client.headers["Authorization"] = f"Bearer {inside.data.admin_token()}"
        yield client


def routes(inside: Inside) -> list[tuple[str, str]]:
    """Method and path of everything that the operators' listener answers."""
    schema = operator_app(inside.fleet).openapi()
    documented = [(method.upper(), path) for path, methods in schema["paths"].items() for method in methods]
    return [*documented, ("GET", "/console/snapshot")]


def test_nothing_but_the_sign_in_is_open_to_whoever_has_no_token(inside: Inside, anybody: httpx.Client) -> None:
    checked = 0
    for method, path in routes(inside):
        if path in OPEN_TO_ALL:
            continue
        address = re.sub(r"{\w+}", "1", path).replace("/rollouts/1/1", "/rollouts/1/start")
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}):
            answer = anybody.request(method, address, headers=headers, json={} if method != "GET" else None)
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.json()["error"]["code"] == "auth.refused"
            checked += 1
    assert checked > 40


def test_an_error_comes_back_as_what_it_was(admin: httpx.Client) -> None:
    answer = admin.get("/api/v1/devices/d-none")
    assert answer.status_code == 404
    error = revive(answer.json()["error"])
    assert error.code == "not_found"
    assert "'d-none'" in error.seen
    assert "edgefleet device list" in error.remedy


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/v1/tokens", {"life_ms": "soon"}, 400, "usage"),
        ("POST", "/api/v1/tokens", {"life_ms": 1}, 400, "usage"),
        ("POST", "/api/v1/tokens", {"tags": {"a b": "c"}}, 400, "usage"),
        ("GET", "/api/v1/devices?group=a%24b", None, 400, "usage"),
        ("GET", "/api/v1/devices?limit=100000", None, 400, "usage"),
        ("GET", "/api/v1/rollouts/r99", None, 404, "not_found"),
        ("GET", "/api/v1/rollouts/1", None, 404, "not_found"),
        ("GET", "/api/v1/rollouts/r99999999999999999999", None, 404, "not_found"),
        ("GET", "/api/v1/rollouts/r%00", None, 404, "not_found"),
        ("POST", "/api/v1/rollouts/r1/explode", None, 400, "usage"),
        ("GET", "/api/v1/releases/digits", None, 400, "usage"),
        ("GET", "/api/v1/audit?rollout=r7", None, 404, "not_found"),
        ("POST", "/api/v1/alerts/7/ack", None, 404, "not_found"),
        ("POST", "/api/v1/alerts/99999999999999999999/ack", None, 400, "usage"),
        ("GET", "/api/v1/audit?after=99999999999999999999", None, 400, "usage"),
        ("POST", "/api/v1/rollouts", {"release": "a@1", "to": "all", "probation_ms": -1}, 400, "usage"),
        ("PUT", "/api/v1/blobs/..%2f..%2fetc", {}, 404, "not_found"),
        ("PUT", "/api/v1/blobs/ABC", {}, 400, "usage"),
        ("GET", "/api/v1/nothing", None, 404, "not_found"),
        ("DELETE", "/api/v1/devices", None, 405, "usage"),
    ],
)
def test_bad_requests_get_a_clear_error(
    admin: httpx.Client, method: str, path: str, body: Any, status: int, code: str
) -> None:
    answer = admin.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert answer.json()["error"]["seen"]


def test_what_breaks_inside_is_told_without_its_inside(
    admin: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alerts, "alerts", lambda *_, **__: 1 // 0)
    answer = admin.get("/api/v1/alerts")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "division" not in answer.text
    assert "ZeroDivisionError" in caplog.text


def test_a_blob_is_uploaded_under_its_hash_only(inside: Inside, admin: httpx.Client) -> None:
    content = b"x" * 3_000_000
    name = canonical.sha256(content)
    assert admin.put(f"/api/v1/blobs/{name}", content=content[:-1]).json()["error"]["code"] == "bundle.hash_mismatch"
    assert admin.get(f"/api/v1/blobs/{name}").status_code == 404
    assert admin.put(f"/api/v1/blobs/{name}", content=content).json() == {"sha256": name, "bytes": len(content)}
    assert admin.get(f"/api/v1/blobs/{name}").json()["bytes"] == len(content)
    with inside.database.read() as session:
        assert session.query(Blob).count() == 1


@pytest.mark.parametrize(("path", "method"), [("/api/v1/trust", "PUT"), ("/api/v1/releases", "POST")])
def test_metadata_of_any_size_are_not_read_into_memory(admin: httpx.Client, path: str, method: str) -> None:
    answer = admin.request(method, path, content=b" " * (METADATA_BODY_LIMIT + 1))
    assert answer.status_code == 400
    assert f"more than {METADATA_BODY_LIMIT} bytes" in answer.text


def test_a_permit_of_any_size_is_not_read_into_memory(admin: httpx.Client) -> None:
    answer = admin.post("/api/v1/permits", content=b" " * 300_000)
    assert answer.status_code == 400
    assert "more than 262144 bytes" in answer.text


def test_the_enrolment_listener_serves_enrolment_and_nothing_else(inside: Inside) -> None:
    with served(device_app(inside.fleet)) as client:
        assert client.get(AUTHORITY_PATH).text == inside.authority.pem
        for path in ("/api/v1/devices", "/", "/metrics", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 404
        answer = client.post(ENROLL_PATH, content=b"[" * 5000)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "trust.statement_malformed")


def test_signing_in_gives_a_session_that_scripts_cannot_read(inside: Inside, anybody: httpx.Client) -> None:
    assert anybody.get("/").headers["location"] == "/sign-in"
    assert anybody.get("/sign-in").status_code == 200
    wrong = anybody.post("/sign-in", data={"token": "wrong"})
    assert wrong.status_code == 401
    assert "admin token is wrong" in wrong.text
    assert not wrong.cookies
    right = anybody.post("/sign-in", data={"token": inside.data.admin_token() + "\n"})
    assert right.status_code == 303
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert inside.data.admin_token() not in cookie
    assert anybody.get("/").status_code == 200
    assert anybody.get("/api/v1/devices").json() == []


def test_a_session_ends_with_time_and_by_signing_out(inside: Inside, anybody: httpx.Client) -> None:
    anybody.post("/sign-in", data={"token": inside.data.admin_token()})
    stolen = dict(anybody.cookies)
    anybody.post("/sign-out")
    anybody.cookies.update(stolen)
    assert anybody.get("/api/v1/devices").status_code == 401
    anybody.post("/sign-in", data={"token": inside.data.admin_token()})
    inside.clock.turn(LIFE)
    assert anybody.get("/api/v1/devices").status_code == 401


def test_another_sites_page_cannot_act_with_the_session(inside: Inside, anybody: httpx.Client) -> None:
    anybody.post("/sign-in", data={"token": inside.data.admin_token()})
    for site in ("cross-site", "same-site", "none"):
        answer = anybody.post("/api/v1/tokens", json={}, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 401, site
    assert anybody.post("/api/v1/tokens", json={}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 201


def test_every_answer_forbids_what_is_not_ours(anybody: httpx.Client) -> None:
    for path in ("/sign-in", "/static/console.js", "/api/v1/devices", "/nothing", "/metrics"):
        headers = anybody.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_the_page_loads_nothing_from_elsewhere(inside: Inside, anybody: httpx.Client) -> None:
    anybody.post("/sign-in", data={"token": inside.data.admin_token()})
    page = anybody.get("/").text
    assert "<script>" not in page, "the policy would refuse it"
    asked, served = re.findall(r'<(?:script|img|link)[^>]* (?:src|href)="([^"]+)"', page), set()
    while asked:
        path = asked.pop()
        assert path.startswith("/static/"), path
        answer = anybody.get(path)
        assert answer.status_code == 200, path
        served.add(path)
        folder = path.rpartition("/")[0]
        if path.endswith(".js"):
            assert ".innerHTML" not in answer.text, "text of devices must stay text"
            asked += {f"{folder}/{name}" for name in re.findall(r'from "\./([^"]+)"', answer.text)} - served
    assert len(served) >= 5


def test_the_snapshot_shows_the_fleet(inside: Inside, admin: httpx.Client) -> None:
    empty = admin.get("/console/snapshot").json()
    assert (empty["devices"], empty["rollouts"], empty["releases"]) == ([], [], 0)
    device = inside.device()
    label = inside.roll_out(inside.push(tiny_bundle(inside.folder)))
    inside.settle(label, device)
    full = admin.get("/console/snapshot").json()
    assert [shown["release"] for shown in full["devices"]] == ["digits@1.0.0"]
    assert full["devices_by_state"] == {"confirmed": 1}
    assert full["rollouts"][0]["state"] == "finished"
    assert full["recent"][0]["act"] == "rollout.finished"


def test_metrics_are_prometheus_text_without_names_of_devices(inside: Inside, anybody: httpx.Client) -> None:
    device = inside.device()
    inside.settle(inside.roll_out(inside.push()), device)
    answer = anybody.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    line = re.compile(r'# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [\d.e+-]+')
    assert all(line.fullmatch(text) for text in answer.text.splitlines())
    assert 'edgefleet_devices{state="confirmed"} 1' in answer.text
    assert 'edgefleet_rollouts{state="finished"} 1' in answer.text
    assert 'edgefleet_messages_total{kind="reported",result="stored"} 1' in answer.text
    assert device.id not in answer.text


def test_health_says_what_is_wrong(inside: Inside, anybody: httpx.Client) -> None:
    import dataclasses

    assert anybody.get("/healthz").json() == {"disk": "ok", "broker": "ok", "ingest": "ok"}
    cut_off = dataclasses.replace(inside.fleet, broker_connected=lambda: False)
    with served(operator_app(cut_off)) as client:
        answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["broker"]) == (503, "unreachable")
    deaf = dataclasses.replace(inside.fleet, hears_devices=lambda: False)
    with served(operator_app(deaf)) as client:
        answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["ingest"]) == (503, "stopped")


def test_a_device_that_a_rollout_waits_for_in_vain_is_shown_as_silent(inside: Inside, admin: httpx.Client) -> None:
    device = inside.device()
    label = inside.roll_out(inside.push())
    inside.clock.turn(60_000)

    def why() -> str | None:
        [deployment] = admin.get(f"/api/v1/rollouts/{label}").json()["deployments"]
        return deployment["why"]

    assert why() == "it has not been heard since it was assigned"
    device.says("idle", sequence=0)
    assert why() is None


def test_a_disk_that_takes_nothing_is_told_and_not_called_a_defect(inside: Inside, admin: httpx.Client) -> None:
    inside.push()
    inside.clock.turn(60_000)
    with files_of_at_most(100):
        health = admin.get("/healthz")
        upload = admin.put(f"/api/v1/blobs/{'0' * 64}", content=bytes(1 << 21))
        token = admin.post("/api/v1/tokens", json={"life_ms": 60_000})
    assert (health.status_code, health.json()["disk"]) == (503, "failed")
    for answer in (upload, token):
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "server.disk_failed"), answer.text
    assert admin.get("/healthz").status_code == 200


def test_pages_of_devices_and_of_the_log_join_without_gap(inside: Inside, admin: httpx.Client) -> None:
    ids = sorted(inside.device().id for _ in range(5))
    seen: list[str] = []
    while page := admin.get("/api/v1/devices", params={"after": seen[-1] if seen else "", "limit": 2}).json():
        seen += [device["id"] for device in page]
    assert seen == ids
    log: list[int] = []
    while rows := admin.get("/api/v1/audit", params={"after": log[-1] if log else 0, "limit": 3}).json():
        log += [row["id"] for row in rows]
    assert log == sorted(set(log))
    assert len(log) == len(inside.acts())


def test_tags_are_set_and_removed(inside: Inside, admin: httpx.Client) -> None:
    device = inside.device(site="south")
    path = f"/api/v1/devices/{device.id}/tags"
    assert admin.patch(path, json={"put": {"site": "north", "group": "canary"}}).json()["tags"] == {
        "group": "canary",
        "site": "north",
    }
    assert admin.patch(path, json={"remove": ["site"]}).json()["tags"] == {"group": "canary"}
    assert admin.patch(path, json={"put": {"a b": "c"}}).status_code == 400
    assert [row["id"] for row in admin.get("/api/v1/devices", params={"group": "canary"}).json()] == [device.id]
    assert admin.get("/api/v1/devices", params={"group": "site=south"}).json() == []


def test_an_acknowledged_alert_is_not_shown_again(inside: Inside, admin: httpx.Client) -> None:
    def raised() -> None:
        with inside.fleet.change("policy") as change:
            alerts.raise_alert(change, kind="offline", cause="offline:x", text="<script>alert(1)</script>")

    raised()
    raised()
    [alert] = admin.get("/api/v1/alerts").json()
    assert (alert["count"], alert["state"]) == (2, "open")
    assert admin.post(f"/api/v1/alerts/{alert['id']}/ack").json()["acked_by"] == "admin"
    raised()
    assert admin.get("/api/v1/alerts").json() == []
    assert [row["state"] for row in admin.get("/api/v1/alerts", params={"all": "true"}).json()] == ["acknowledged"]
    with inside.fleet.change("policy") as change:
        alerts.resolve(change, "offline:x")
    raised()
    assert len(admin.get("/api/v1/alerts").json()) == 1, "the cause went away and came back"
