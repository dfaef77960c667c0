"""A real mosquitto with mutual TLS and access rules, an HTTPS enrolment listener, and agents as processes."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edgefleet_contract import keys, topics
from edgefleet_contract.enrolment import AUTHORITY_PATH, BrokerAddress, decode_request
from edgefleet_contract.errors import EdgefleetError
from edgefleet_contract.messages import Reported
from support.agent_fleet import FleetSide, Operator
from support.ports import free_port

MOSQUITTO = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") or "mosquitto"
_ACL = """
user fleet-server
topic readwrite fleet/#
pattern write fleet/v1/d/%u/up/#
pattern read fleet/v1/d/%u/down/#
"""
DEADLINE_S = 90.0


def eventually(holds: Callable[[], Any], what: str) -> Any:
    """The first true answer of ``holds``."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if answer := holds():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"never happened: {what}")


class Broker:
    """A mosquitto that can be stopped and started again on the same port."""

    def __init__(self, folder: Path, operator: Operator) -> None:
        self.address = BrokerAddress("127.0.0.1", free_port())
        key = keys.generate_device_key()
        (folder / "broker.key").write_bytes(keys.to_pem(key))
        (folder / "broker.pem").write_bytes(operator.certificate("broker", key.public_key(), server=True))
        (folder / "authority.pem").write_bytes(operator.authority_pem)
        (folder / "acl").write_text(_ACL)
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"per_listener_settings true\nuser root\nlistener {self.address.port} 127.0.0.1\nallow_anonymous false\n"
            f"require_certificate true\nuse_identity_as_username true\nuse_username_as_clientid true\n"
            f"cafile {folder}/authority.pem\ncertfile {folder}/broker.pem\nkeyfile {folder}/broker.key\n"
            f"acl_file {folder}/acl\nmax_queued_bytes 8000000\nlog_type none\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        eventually(self._listens, "mosquitto listens")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.address.host, self.address.port)) == 0


class ServerLink:
    """The simulated server's connection to the broker, for one device."""

    def __init__(self, folder: Path, operator: Operator, broker: BrokerAddress, device: str, side: FleetSide) -> None:
        key = keys.generate_device_key()
        (folder / "server.key").write_bytes(keys.to_pem(key))
        (folder / "server.pem").write_bytes(operator.certificate("fleet-server", key.public_key()))
        self.side = side
        self._device = device
        self._lock = threading.Lock()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="fleet-server", protocol=mqtt.MQTTv311)
        context = ssl.create_default_context(cadata=operator.authority_pem.decode())
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self._client.tls_set_context(context)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topics.server_subscriptions())
        self._client.on_message = self._on_message
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    def assign(self, desired: bytes) -> None:
        """Publish the desired twin."""
        topic = topics.DESIRED
        self._client.publish(topics.of(topic, self._device), desired, topic.qos, topic.retain).wait_for_publish(10)

    def until(self, reached: Callable[[Reported], bool]) -> Reported:
        """The newest report, once it is as wanted."""

        def newest() -> Reported | None:
            with self._lock:
                reports = self.side.reports
                return reports[-1] if reports and reached(reports[-1]) else None

        return eventually(newest, "a report as wanted")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        parsed = topics.parse_up(message.topic)
        assert parsed is not None
        with self._lock:
            for topic, payload in self.side.answer(parsed[0], bytes(message.payload)):
                self._client.publish(topics.of(topic, self._device), payload, topic.qos)


@contextmanager
def enrolment_listener(
    folder: Path, operator: Operator, device: str, broker: BrokerAddress, refusals: Sequence[EdgefleetError] = ()
) -> Iterator[str]:
    """An HTTPS listener that enrolls whoever asks as ``device``, after refusing ``refusals``; yields its URL."""
    waiting = list(refusals)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200 if self.path == AUTHORITY_PATH else 404, operator.authority_pem)

        def do_POST(self) -> None:
            request = decode_request(self.rfile.read(int(self.headers["Content-Length"])))
            if waiting:
                self._send(403, msgspec.json.encode({"error": waiting.pop(0).as_json()}))
            else:
                self._send(200, msgspec.json.encode(operator.answer(request, device, broker)))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    key = keys.generate_device_key()
    (folder / "https.key").write_bytes(keys.to_pem(key))
    (folder / "https.pem").write_bytes(operator.certificate("fleet-server", key.public_key(), server=True))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "https.pem", folder / "https.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def agent_command(*arguments: object) -> list[str]:
    """The command line of the agent."""
    return [sys.executable, "-m", "edgefleet_agent.cli", *map(str, arguments)]


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one command of the agent to its end."""
    return subprocess.run(agent_command(*arguments), capture_output=True, text=True, timeout=60, check=False)


class AgentProcess:
    """``edgefleet-agent run`` as a process of its own."""

    def __init__(self, data: Path, *options: object) -> None:
        self._log = (data.parent / f"{data.name}.log").open("ab")
        listen = () if "--listen" in options else ("--listen", "127.0.0.1:0")
        self._process = subprocess.Popen(
            agent_command("run", "--data", data, "--json", *listen, *options),
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (data.parent / f"{data.name}.log").read_text()
        self.ready: dict[str, Any] = json.loads(line)

    @property
    def pid(self) -> int:
        return self._process.pid

    def children(self) -> list[int]:
        """Process ids of what it started."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> int:
        status = self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()
        return status
