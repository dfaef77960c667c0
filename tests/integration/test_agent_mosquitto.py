"""The agent as a process, over a real mosquitto with mutual TLS, against a simulated server."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgefleet_agent.folder import DataFolder
from edgefleet_contract import identifiers
from edgefleet_contract.enrolment import encode_token
from edgefleet_contract.errors import TokenRefused
from support.agent_broker import AgentProcess, Broker, ServerLink, enrolment_listener, eventually, run_command
from support.agent_fleet import FleetSide, Operator
from support.bundles import make_bundle, npz, validation_cases, vectors_file, worse_model

pytestmark = pytest.mark.integration


@dataclass
class Fleet:
    """A fleet of one device, which has enrolled by the command."""

    operator: Operator
    broker: Broker
    data: Path
    device: str
    work: Path

    def link(self, *files: bytes) -> ServerLink:
        self.operator.lend_assignment_key(DataFolder(self.data))
        side = FleetSide(DataFolder(self.data), self.device, files)
        return ServerLink(self.work, self.operator, self.broker.address, self.device, side)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    operator, device = Operator(), identifiers.new_device_id()
    broker = Broker(tmp_path, operator)
    broker.start()
    with enrolment_listener(tmp_path, operator, device, broker.address) as url:
        token = encode_token(operator.token())
        done = run_command("enroll", "--server", url, "--token", token, "--data", tmp_path / "data", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["device"] == device
    yield Fleet(operator, broker, tmp_path / "data", device, tmp_path)
    broker.stop()


def ask(url: str, x: object) -> dict[str, object]:
    """One inference request; the response."""
    body = {"inputs": [{"name": "image", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}]}
    request = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read())


def test_an_agent_enrolls_confirms_serves_and_sends_telemetry(fleet: Fleet) -> None:
    bundle = make_bundle(fleet.work, padding=400_000)
    vectors = vectors_file(fleet.work / "v.npz").read_bytes()
    link = fleet.link(bundle.read_bytes(), vectors)
    agent = AgentProcess(fleet.data, "--telemetry-interval", "1s")
    try:
        link.assign(fleet.operator.assign(fleet.device, [bundle], 1, vectors=vectors))
        report = link.until(lambda seen: seen.state == "confirmed" and len(seen.evidence) == 2)
        assert [evidence.candidate.correct for evidence in report.evidence] == [97, 97]

        x, y = validation_cases()
        answer = ask(f"{agent.ready['serving']}/v2/models/digits/infer", x[:50])
        outputs = answer["outputs"][0]
        assert outputs["shape"] == [50, 10]
        guesses = [max(range(10), key=outputs["data"][i * 10 : i * 10 + 10].__getitem__) for i in range(50)]
        assert sum(guess == label for guess, label in zip(guesses, y[:50], strict=True)) >= 47

        counted = eventually(
            lambda: [record for record in link.side.telemetry.values() if record.inferences], "telemetry"
        )
        assert sum(record.inferences for record in counted) == 50
        assert counted[0].digest == report.running
        assert counted[0].sketch is not None
        assert counted[0].sketch.n == 50
        assert agent.stop() == 0
        assert json.loads(run_command("status", "--data", fleet.data, "--json").stdout)["agent"] is None
    finally:
        agent.kill()
        link.close()


def test_a_cut_network_stops_neither_inference_nor_counting(fleet: Fleet) -> None:
    bundle = make_bundle(fleet.work)
    link = fleet.link(bundle.read_bytes())
    agent = AgentProcess(fleet.data, "--telemetry-interval", "1s")
    try:
        link.assign(fleet.operator.assign(fleet.device, [bundle], 1))
        link.until(lambda seen: seen.state == "confirmed")
        fleet.broker.stop()
        x, _ = validation_cases()
        for _ in range(20):
            ask(f"{agent.ready['serving']}/v2/models/digits/infer", x[:1])
        state = lambda: json.loads(run_command("status", "--data", fleet.data, "--json").stdout)  # noqa: E731
        eventually(lambda: not state()["connected"] and state()["spool"]["records"] >= 2, "telemetry in the spool")
        fleet.broker.start()
        eventually(lambda: sum(r.inferences for r in link.side.telemetry.values()) == 20, "all of it on the server")
        eventually(lambda: state()["spool"]["records"] == 0, "an empty spool")
    finally:
        agent.kill()
        link.close()


def test_a_killed_agent_goes_on_where_it_was(fleet: Fleet) -> None:
    first = make_bundle(fleet.work)
    second = make_bundle(fleet.work, version="1.1.0", model=worse_model(), padding=3_000_000)
    link = fleet.link(first.read_bytes(), second.read_bytes())
    agent = AgentProcess(fleet.data)
    try:
        link.assign(fleet.operator.assign(fleet.device, [first], 1))
        link.until(lambda seen: seen.state == "confirmed")
        link.assign(fleet.operator.assign(fleet.device, [second], 2))
        eventually(lambda: len(link.side.asked) > 10, "blocks asked for")
        children = agent.children()
        assert children
        agent.kill()
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "its model ends with it")
        agent = AgentProcess(fleet.data)
        report = link.until(lambda seen: seen.sequence == 2 and seen.state == "confirmed")
        assert len(report.confirmed) == 2
        assert agent.stop() == 0
    finally:
        agent.kill()
        link.close()


def test_the_commands_ask_the_running_agent_and_do_without_it(fleet: Fleet) -> None:
    x, y = validation_cases()
    inputs = fleet.work / "inputs"
    inputs.mkdir()
    (inputs / "first.npz").write_bytes(npz(x=x[:5]))
    (inputs / "second.json").write_text(
        json.dumps({"inputs": [{"name": "image", "shape": [1, 8, 8, 1], "datatype": "FP32", "data": x[5].tolist()}]})
    )
    (inputs / "third.npz").write_bytes(b"no archive")
    bundle = make_bundle(fleet.work)
    link = fleet.link(bundle.read_bytes())
    agent = AgentProcess(fleet.data, "--listen", f"unix:{fleet.work}/agent.sock")
    try:
        assert run_command("infer", "--data", fleet.data, "--input", inputs / "first.npz").returncode == 2
        link.assign(fleet.operator.assign(fleet.device, [bundle], 1))
        link.until(lambda seen: seen.state == "confirmed")
        answer = run_command("infer", "--data", fleet.data, "--input", inputs / "first.npz", "--json")
        assert [entry["label"] for entry in json.loads(answer.stdout)["predictions"]] == [str(label) for label in y[:5]]
        served = run_command("batch", "--data", fleet.data, "--in", inputs, "--out", fleet.work / "served.jsonl")
        assert served.returncode == 2
        assert agent.stop() == 0
        unserved = run_command(
            "batch", "--data", fleet.data, "--in", inputs, "--out", fleet.work / "own.jsonl", "--json"
        )
        assert json.loads(unserved.stdout) == {"files": 3, "failed": 1, "out": str(fleet.work / "own.jsonl")}
        lines = [json.loads(line) for line in (fleet.work / "own.jsonl").read_text().splitlines()]
        assert lines == [json.loads(line) for line in (fleet.work / "served.jsonl").read_text().splitlines()]
        assert [len(line.get("predictions", [])) for line in lines] == [5, 1, 0]
        assert lines[2]["error"]["code"] == "data.malformed"
        nobody = run_command("infer", "--data", fleet.data, "--input", inputs / "first.npz")
        assert nobody.returncode == 5
        assert nobody.stderr.startswith("error[agent.unreachable]: ")
    finally:
        agent.kill()
        link.close()


def test_a_second_agent_on_the_same_folder_is_refused(fleet: Fleet) -> None:
    agent = AgentProcess(fleet.data)
    try:
        second = run_command("run", "--data", fleet.data, "--listen", "127.0.0.1:0")
        assert second.returncode == 2
        assert second.stderr.splitlines()[-1].startswith("error[data_folder.in_use]: ")
    finally:
        agent.kill()


def test_enrolment_refused_by_the_server_is_told_and_leaves_no_identity(tmp_path: Path) -> None:
    operator, device = Operator(), identifiers.new_device_id()
    refusal = TokenRefused("The claim token was used before", remedy="Ask for a new one.")
    broker = Broker(tmp_path, operator).address
    token = encode_token(operator.token())
    with enrolment_listener(tmp_path, operator, device, broker, [refusal]) as url:
        enroll = ("enroll", "--server", url, "--token", token, "--data", tmp_path / "data")
        refused = run_command(*enroll)
        assert refused.returncode == 4
        assert refused.stderr == "error[token.refused]: The claim token was used before. Ask for a new one.\n"
        assert run_command("status", "--data", tmp_path / "data").returncode == 2
        assert run_command(*enroll).returncode == 0
        assert run_command(*enroll).returncode == 2


def test_enrolment_without_a_server_exits_with_5(tmp_path: Path) -> None:
    token = encode_token(Operator().token())
    done = run_command(
        "enroll", "--server", "https://127.0.0.1:9", "--token", token, "--data", tmp_path / "data", "--json"
    )
    assert done.returncode == 5
    assert json.loads(done.stdout)["error"]["code"] == "server.unreachable"


@pytest.mark.attack
def test_an_authority_that_the_token_does_not_name_gets_no_secret(tmp_path: Path) -> None:
    operator, impostor = Operator(), Operator()
    broker = Broker(tmp_path, impostor).address
    token = encode_token(operator.token())
    with enrolment_listener(tmp_path, impostor, identifiers.new_device_id(), broker) as url:
        done = run_command("enroll", "--server", url, "--token", token, "--data", tmp_path / "data")
    assert done.returncode == 4
    assert done.stderr.startswith("error[identity.mismatch]: ")
    assert not (tmp_path / "data" / "identity").exists()
