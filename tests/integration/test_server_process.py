"""``edgefleet server run`` as a process: start, stop, kill, restart, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edgefleet_contract.errors import BrokerUnreachable, DataFolderMalformed, UsageMalformed
from edgefleet_server import server as module
from edgefleet_server.authority import Authority
from edgefleet_server.broker import mosquitto
from edgefleet_server.clock import system_clock
from edgefleet_server.config import ServerConfig
from edgefleet_server.data_folder import DataFolder
from support.ports import free_port
from support.server_device import SimulatedDevice, enroll
from support.server_runs import Operator, until
from support.server_state import Inside
from support.tiny_bundles import tiny_bundle

pytestmark = pytest.mark.integration


class ServerProcess:
    """A server as a shell starts it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.log = (folder / "server.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgefleet", "server", "run", "--data", str(folder / "data"), "--json", *options],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment(folder),
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (folder / "server.log").read_text()
        self.ready: dict[str, Any] = json.loads(line)

    def end(self, number: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()
        return status

    @property
    def broker_is_up(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.ready["broker"]["host"], self.ready["broker"]["port"])) == 0


def environment(folder: Path) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("EDGEFLEET_")}
    return {**clean, "EDGEFLEET_HOME": str(folder / "home")}


def refused(folder: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, error and stderr of a server that does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "edgefleet", "server", "run", "--data", str(folder / "data"), "--json", *options],
        capture_output=True, text=True, timeout=60, check=False, env=environment(folder),
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)["error"], done.stderr


@pytest.fixture
def operator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(tmp_path / "home", tmp_path / "data", capsys)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path, "--port", "0")
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_its_broker_too(server: ServerProcess, number: signal.Signals) -> None:
    assert set(server.ready) == {"console", "devices", "broker", "data"}
    assert server.end(number) == 0
    assert not server.broker_is_up
    assert "Traceback" not in (server.folder / "server.log").read_text()


def test_killed_outright_it_takes_its_broker_with_it(server: ServerProcess) -> None:
    server.end(signal.SIGKILL)
    until(lambda: not server.broker_is_up)


def test_secrets_are_for_their_owner_alone(server: ServerProcess) -> None:
    data = server.folder / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    for path in (data / "admin.token", *data.glob("keys/*.pem"), *data.glob("ca/*.key")):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_a_folder_serves_one_server_at_a_time(server: ServerProcess) -> None:
    status, error, stderr = refused(server.folder, "--port", "0")
    assert (status, error["code"]) == (2, "data_folder.in_use")
    assert "Traceback" not in stderr
    assert server.process.poll() is None


def test_after_a_kill_devices_find_everything_as_it_was(
    tmp_path: Path, server: ServerProcess, operator: Operator
) -> None:
    token = operator.ask("device", "token")
    device = SimulatedDevice(tmp_path / "device", enroll(token["server"], token["token"]))
    try:
        operator.ask("release", "push", str(tiny_bundle(tmp_path)))
        server.end(signal.SIGKILL)
        again = ServerProcess(tmp_path, "--port", "0")
        try:
            assert again.ready == server.ready, "ports are kept, for devices remember them"
            operator.ask(
                "rollout", "create", "--release", "digits@1.0.0", "--to", "all", "--stage", "100%", "--probation", "0s"
            )
            until(lambda: operator.ask("rollout", "show", "r1")["state"] == "finished")
        finally:
            assert again.end(signal.SIGTERM) == 0
    finally:
        device.close()


def test_an_assignment_made_while_the_broker_was_away_arrives_when_it_is_back(
    tmp_path: Path, server: ServerProcess, operator: Operator
) -> None:
    token = operator.ask("device", "token")
    device = SimulatedDevice(tmp_path / "device", enroll(token["server"], token["token"]))
    try:
        operator.ask("release", "push", str(tiny_bundle(tmp_path)))
        os.kill(broker_of(server), signal.SIGKILL)
        operator.ask(
            "rollout", "create", "--release", "digits@1.0.0", "--to", "all", "--stage", "100%", "--probation", "0s"
        )
        until(lambda: operator.ask("rollout", "show", "r1")["state"] == "finished")
    finally:
        device.close()


def broker_of(server: ServerProcess) -> int:
    """The process id of the server's broker child."""
    children = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    [child] = {int(pid) for path in children for pid in path.read_text().split()}
    return child


@pytest.mark.parametrize(
    "options",
    [
        ("--host", "0.0.0.0"),
        ("--host", "no.such.host.invalid"),
        ("--database", "postgresql://nobody@nowhere/x"),
    ],
)
def test_options_that_make_no_sense_are_refused_without_a_traceback(tmp_path: Path, options: tuple[str, ...]) -> None:
    status, error, stderr = refused(tmp_path, "--port", "0", *options)
    assert (status, error["code"]) == (2, "usage")
    assert "Traceback" not in stderr


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, error, _ = refused(tmp_path, "--port", port)
        assert (status, error["code"]) == (2, "usage")
        assert port in error["seen"]
        assert "--port" in error["remedy"]
        status, error, _ = refused(tmp_path, "--port", "0", "--broker-port", port)
        assert (status, error["code"]) == (2, "usage")
        assert "--broker-port" in error["remedy"]


def test_a_broker_that_somebody_else_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BROKER_TIMEOUT", 2.0)
    config = ServerConfig(tmp_path / "data", port=0, broker=f"mqtts://127.0.0.1:{free_port()}")
    with pytest.raises(BrokerUnreachable, match="No MQTT broker") as caught:
        module.FleetServer(config).start()
    assert caught.value.exit_status == 5
    assert str(tmp_path / "data" / "broker") in caught.value.remedy

    configuration = tmp_path / "data" / "broker" / "mosquitto.conf"
    with subprocess.Popen([mosquitto.program() or "", "-c", configuration], stderr=subprocess.DEVNULL) as theirs:
        try:
            started = module.FleetServer(config)
            until(lambda: starts(started))
            started.stop()
            assert theirs.poll() is None, "it is not ours to stop"
        finally:
            theirs.terminate()


def starts(server: module.FleetServer) -> bool:
    try:
        server.start()
    except BrokerUnreachable:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "broker", "public_url", "console"),
    [
        ("localhost", "mosquitto", None, "http://localhost:"),
        ("::1", "mosquitto", None, "http://[::1]:"),
        ("::1", "amqtt", None, "http://[::1]:"),
        ("0.0.0.0", "mosquitto", "https://localhost:1", "http://127.0.0.1:"),
        ("::", "mosquitto", "https://localhost:1", "http://127.0.0.1:"),
    ],
)
def test_it_serves_any_address_and_its_console_stays_near(
    tmp_path: Path, host: str, broker: str, public_url: str | None, console: str
) -> None:
    config = ServerConfig(tmp_path / "data", host=host, port=0, broker=broker, public_url=public_url)
    started = module.FleetServer(config)
    started.start()
    try:
        assert started.addresses.console.startswith(console)
        assert httpx.get(f"{started.addresses.console}/healthz", trust_env=False).status_code == 200
    finally:
        started.stop()


def test_amqtt_serves_this_machine_only(tmp_path: Path) -> None:
    config = ServerConfig(tmp_path / "data", host="0.0.0.0", port=0, broker="amqtt", public_url="https://localhost:1")
    with pytest.raises(UsageMalformed, match="this machine only"):
        module.FleetServer(config).start()


def test_the_console_is_served_with_a_given_certificate(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    authority = Authority(tmp_path / "ca", system_clock)
    given = authority.issue_listener(["127.0.0.1"])
    config = ServerConfig(tmp_path / "data", port=0, certificate=given.certificate, certificate_key=given.key)
    started = module.FleetServer(config)
    started.start()
    try:
        assert started.addresses.console.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(authority.certificate_path))
        assert httpx.get(f"{started.addresses.console}/healthz", verify=trusted, trust_env=False).status_code == 200
    finally:
        started.stop()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").write_text("")
    status, error, _ = refused(tmp_path, "--port", "0")
    assert (status, error["code"]) == (2, "data_folder.malformed")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["thesis.tex"]


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path, server: ServerProcess) -> None:
    server.end(signal.SIGTERM)
    with sqlite3.connect(tmp_path / "data" / "edgefleet.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    status, error, _ = refused(tmp_path, "--port", "0")
    assert (status, error["code"]) == (2, "data_folder.malformed")
    assert "newer" in error["remedy"]


def test_upgrade_brings_a_database_up_to_date_for_its_owner_alone(operator: Operator) -> None:
    DataFolder(operator.data).close()
    before = os.umask(0o022)
    try:
        newest = operator.ask("server", "upgrade")
        assert newest["schema"] > "0001"
        assert operator.ask("server", "upgrade") == newest
    finally:
        assert os.umask(before) == 0o022
    assert (operator.data / "edgefleet.db").stat().st_mode & 0o777 == 0o600


def test_upgrade_makes_nothing_where_nothing_is(operator: Operator) -> None:
    status, error = operator.refused("server", "upgrade")
    assert (status, error["code"]) == (2, "data_folder.malformed")
    assert not operator.data.exists()


@pytest.mark.parametrize(("option", "place"), [("--port", 0), ("--device-port", 1), ("--broker-port", 2)])
def test_a_port_that_is_taken_is_told_before_anything_is_made(tmp_path: Path, option: str, place: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [free_port(), free_port(), free_port()]
        ports[place] = taken.getsockname()[1]
        options = zip(("--port", "--device-port", "--broker-port"), map(str, ports), strict=True)
        status, error, stderr = refused(tmp_path, *(word for pair in options for word in pair))
    assert (status, error["code"]) == (2, "usage")
    assert option in error["remedy"]
    assert "Traceback" not in stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("lost", "content"),
    [
        ("ca/authority.key", None),
        ("ca/authority.key", b"junk"),
        ("ca/authority.pem", None),
        ("ca/authority.pem", b"junk"),
        ("edgefleet.db", b"this is no database, however long one looks at it" * 100),
        ("admin.token", b"\n"),
    ],
)
def test_a_data_folder_that_has_lost_a_part_is_refused_and_left_as_it_is(
    tmp_path: Path, lost: str, content: bytes | None
) -> None:
    inside = Inside(tmp_path)
    inside.device()
    inside.close()
    path = tmp_path / "data" / lost
    path.unlink() if content is None else path.write_bytes(content)
    status, error, stderr = refused(tmp_path, "--port", "0")
    assert (status, error["code"]) == (2, "data_folder.malformed")
    assert lost.rpartition("/")[2] in error["seen"]
    assert "Traceback" not in stderr
    assert (path.read_bytes() if path.exists() else None) == content


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_a_console_certificate_that_is_none_is_refused_before_anything_is_made(
    tmp_path: Path, content: bytes | None
) -> None:
    certificate = tmp_path / "console.pem"
    if content is not None:
        certificate.write_bytes(content)
    options = ("--certificate", str(certificate), "--certificate-key", str(certificate))
    status, error, stderr = refused(tmp_path, "--port", "0", *options)
    assert (status, error["code"]) == (2, "usage")
    assert "console.pem" in error["seen"]
    assert "Traceback" not in stderr
    assert not (tmp_path / "data").exists()


def test_a_key_of_another_authority_is_noticed(tmp_path: Path) -> None:
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
        Authority(tmp_path / folder, system_clock)
    (tmp_path / "theirs" / "authority.key").rename(tmp_path / "ours" / "authority.key")
    with pytest.raises(DataFolderMalformed, match=r"not the key of authority\.pem"):
        Authority(tmp_path / "ours", system_clock)
