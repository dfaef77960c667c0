"""Open Inference Protocol v2 as callers see it, and a parent process that stays light."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgefleet_agent.client import AgentClient
from edgefleet_agent.folder import DataFolder, RunningAgent
from edgefleet_agent.serving import InferenceServer
from edgefleet_contract.errors import AgentUnreachable, DataMalformed, InferenceFailed, UsageMalformed
from support.agent_fleet import FleetSide, Operator
from support.agent_runs import AgentRun
from support.bundles import make_bundle, validation_cases

# Nothing of these may be in the agent's own process: neither as a module nor mapped into its memory.
HEAVY = ("numpy", "ai_edge_litert", "tflite_runtime", "onnxruntime", "onnx", "tensorflow", "LiteRt", "openblas")
TRUST = ("tuf", "securesystemslib", "urllib3")  # lives in the child that verifies


class Served:
    """An agent that serves, driven by hand."""

    def __init__(self, run: AgentRun, server: InferenceServer) -> None:
        self.run, self.server = run, server

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(*self.server.url.removeprefix("http://").split(":"), timeout=20)
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer


@pytest.fixture
def device(tmp_path: Path) -> tuple[DataFolder, FleetSide]:
    operator = Operator()
    folder, device_id = operator.enrolled_folder(tmp_path / "data")
    bundle = make_bundle(tmp_path, runtime="litert")
    side = FleetSide(folder, device_id, [bundle.read_bytes()])
    side.desired = operator.assign(device_id, [bundle], 1)
    return folder, side


@pytest.fixture
def served(device: tuple[DataFolder, FleetSide]) -> Iterator[Served]:
    with AgentRun(*device) as run:
        server = InferenceServer("127.0.0.1:0", run.agent.served, run.agent.status)
        server.start()
        yield Served(run, server)
        server.stop()


def one_image(**changes: object) -> dict[str, object]:
    x, _ = validation_cases()
    entry = {"name": "image", "shape": [1, 8, 8, 1], "datatype": "FP32", "data": x[0].ravel().tolist(), **changes}
    return {"inputs": [entry]}


def test_before_the_first_confirmation_nothing_is_ready(served: Served) -> None:
    assert served.ask("GET", "/v2/health/live") == (200, {"live": True})
    assert served.ask("GET", "/v2/health/ready") == (503, {"ready": False})
    assert served.ask("POST", "/v2/models/digits/infer", one_image())[0] == 404


def test_server_and_model_describe_themselves(served: Served) -> None:
    served.run.settle()
    status, described = served.ask("GET", "/v2")
    assert (status, described["name"], described["extensions"]) == (200, "edgefleet-agent", [])
    model = {
        "name": "digits",
        "versions": ["1.0.0"],
        "platform": "tflite_litert",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8, 1]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}],
    }
    assert served.ask("GET", "/v2/models/digits") == (200, model)
    assert served.ask("GET", "/v2/models/digits/versions/1.0.0") == (200, model)
    assert served.ask("GET", "/v2/models/digits/ready") == (200, {"ready": True})
    assert served.ask("GET", "/v2/models/digits/versions/1.0.0/ready") == (200, {"ready": True})
    assert served.ask("GET", "/v2/health/ready") == (200, {"ready": True})


def test_inference_by_name_and_by_version(served: Served) -> None:
    served.run.settle()
    status, answer = served.ask("POST", "/v2/models/digits/infer", one_image())
    assert status == 200
    assert len(answer["outputs"][0]["data"]) == 10
    assert served.ask("POST", "/v2/models/digits/versions/1.0.0/infer", one_image()) == (200, answer)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/cats", 404),
        ("GET", "/v2/models/digits/versions/2.0.0", 404),
        ("POST", "/v2/models/cats/infer", 404),
        ("GET", "/v2/models/digits/infer", 404),
        ("GET", "/", 404),
        ("POST", "/v2/models/digits/infer", 400),
    ],
)
def test_what_is_not_there_or_does_not_fit_is_an_error_with_a_text(
    served: Served, method: str, path: str, status: int
) -> None:
    served.run.settle()
    body = {"inputs": []} if method == "POST" else None
    seen, answer = served.ask(method, path, body)
    assert seen == status
    assert list(answer) == ["error"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_a_method_that_is_not_served_is_told_in_json(served: Served, method: str) -> None:
    status, answer = served.ask(method, "/v2/models/digits", {})
    assert status == 405
    assert method in answer["error"]


def test_a_request_by_another_host_name_is_refused(served: Served) -> None:
    served.run.settle()
    assert served.ask("POST", "/v2/models/digits/infer", one_image(), Host="evil.example:80")[0] == 400
    assert served.ask("POST", "/v2/models/digits/infer", one_image(), Host="localhost:80")[0] == 200


def test_a_body_without_a_sensible_length_is_refused(served: Served) -> None:
    for length in ("-1", "x", str(1 << 40)):
        assert served.ask("POST", "/v2/models/digits/infer", **{"Content-Length": length})[0] == 413


def test_a_model_that_dies_is_unready_and_comes_back(served: Served) -> None:
    served.run.settle()
    os.kill(served.run.agent.served.child.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while served.run.agent.served.is_ready:
        assert time.monotonic() < deadline
    assert served.ask("POST", "/v2/models/digits/infer", one_image())[0] == 503
    assert served.ask("GET", "/v2/health/ready")[0] == 503
    served.run.agent.tick()
    assert served.ask("POST", "/v2/models/digits/infer", one_image())[0] == 200


def test_requests_are_counted_where_the_server_sees_them(served: Served) -> None:
    served.run.settle()
    for _ in range(3):
        served.ask("POST", "/v2/models/digits/infer", one_image())
    os.kill(served.run.agent.served.child.pid, signal.SIGKILL)
    served.ask("POST", "/v2/models/digits/infer", one_image())
    served.run.clock.ahead_s += 3600
    served.run.settle()
    (record,) = served.run.side.telemetry.values()
    assert (record.inferences, record.errors) == (3, 1)
    assert record.latency is not None
    assert 0 < record.latency.p50 <= record.latency.p95 <= record.latency.p99 <= record.latency.max
    assert record.sketch is None, "it died with the child"


def test_the_client_speaks_to_a_unix_socket(device: tuple[DataFolder, FleetSide]) -> None:
    # The path of a socket has at most 107 bytes: pytest's own folders may be too deep.
    with tempfile.TemporaryDirectory() as short, AgentRun(*device) as run:
        path = Path(short) / "agent.sock"
        server = InferenceServer(f"unix:{path}", run.agent.served, run.agent.status)
        server.start()
        run.settle()
        client = AgentClient(RunningAgent(os.getpid(), server.url))
        assert json.loads(client.infer("digits", json.dumps(one_image()).encode()))["model_version"] == "1.0.0"
        with pytest.raises(DataMalformed):
            client.infer("digits", b"{}")
        assert client.status()["state"] == "confirmed"
        os.kill(run.agent.served.child.pid, signal.SIGKILL)
        with pytest.raises(InferenceFailed):
            client.infer("digits", json.dumps(one_image()).encode())
        client.close()
        assert path.stat().st_mode & 0o777 == 0o600
        server.stop()
    with pytest.raises(AgentUnreachable):
        AgentClient(RunningAgent(os.getpid(), server.url)).status()


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:80", "example.org:80", "127.0.0.1", "127.0.0.1:70000", ":80", "unix:/no/such/folder/s"]
)
def test_an_address_that_is_not_of_this_device_alone_is_refused(served: Served, listen: str) -> None:
    with pytest.raises(UsageMalformed):
        InferenceServer(listen, served.run.agent.served, served.run.agent.status)


# An agent in a process of its own, which serves one inference and then tells what it holds.
_LIGHT = """
import http.client, json, sys
from pathlib import Path
from edgefleet_agent.disk import Disk
from edgefleet_agent import cli, daemon
from edgefleet_agent.clock import SystemClock
from edgefleet_agent.config import Config
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Identity
from edgefleet_agent.inbox import Inbox
from edgefleet_agent.transport import Transport

folder = DataFolder(Path(sys.argv[1]))
identity, inbox = Identity(folder), Inbox()
network = Transport(identity, inbox)
agent = daemon.Agent(folder, Config(), network, identity=identity, disk=Disk(), clock=SystemClock())
server = daemon.InferenceServer("127.0.0.1:0", agent.served, agent.status)
agent.start()
server.start()
connection = http.client.HTTPConnection(*server.url.removeprefix("http://").split(":"))
connection.request("POST", "/v2/models/digits/infer", sys.argv[2])
answer = json.loads(connection.getresponse().read())
assert answer["outputs"], answer
maps = sorted({line.split()[-1] for line in open("/proc/self/maps") if "/" in line})
print(json.dumps({"modules": sorted(sys.modules), "maps": maps}))
server.stop()
agent.stop()
"""


def test_after_a_served_inference_the_agents_process_holds_nothing_heavy(device: tuple[DataFolder, FleetSide]) -> None:
    folder, _ = device
    with AgentRun(*device) as run:
        run.settle()
    done = subprocess.run(
        [sys.executable, "-c", _LIGHT, str(folder.root), json.dumps(one_image())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    held = json.loads(done.stdout)
    assert [name for name in held["modules"] if name.split(".")[0] in (*HEAVY, *TRUST)] == []
    assert [path for path in held["maps"] if any(name in path for name in HEAVY)] == []
