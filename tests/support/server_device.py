"""A simulated device: enrolls over HTTPS, verifies assignments with the contract's code, fetches, reports and obeys.

It runs no model. What it makes of a bundle is what the test says.
"""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec
import paho.mqtt.client as paho
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from edgefleet_contract import blocks, canonical, dsse, enrolment, identifiers, keys, messages, topics, trust
from edgefleet_contract.enrolment import ClaimToken, EnrollRequest, EnrollResponse
from edgefleet_contract.errors import revive
from edgefleet_contract.messages import (
    Ack,
    Desired,
    ErrorReport,
    Evidence,
    Need,
    Reported,
    Telemetry,
    TelemetryRecord,
    VectorsResult,
)
from edgefleet_contract.trust import Accepted, Floor, Pins
from edgefleet_contract.trust.proofs import decode_proof, newest_root
from edgefleet_contract.trust.repository import read_root
from edgefleet_server.clock import system_clock

CASES = 100


class Refused(Exception):
    """The server answered with an error status."""


@dataclass
class Identity:
    """What enrolment gave the device."""

    device: str
    hardware: str
    key: Any
    response: EnrollResponse


def make_csr(key: Any, name: str = "whatever") -> str:
    """A certificate signing request for ``key``."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def enroll(url: str, word: str, hardware: str = "x86-64", key: Any = None) -> Identity:
    """Enroll as the agent does: fetch the authority, hold it against the token, then trust TLS with it.

    Raises:
        EdgefleetError: What the server answered.
    """
    token = enrolment.decode_token(word)
    with httpx.Client(verify=False, trust_env=False) as client:
        pem = client.get(url + enrolment.AUTHORITY_PATH).text
    assert fingerprint(pem) == token.authority
    key = key or keys.generate_device_key()
    response = ask(url, pem, token, key, hardware)
    assert trust.root_digest(root_of(response)) == token.root
    return Identity(response.device, hardware, key, response)


def ask(url: str, authority: str, token: ClaimToken, key: Any, hardware: str = "x86-64") -> EnrollResponse:
    """One enrolment request, its TLS verified with ``authority``."""
    request = EnrollRequest(
        v=enrolment.VERSION, token_id=token.id, secret=token.secret, csr=make_csr(key), hardware=hardware,
        runtimes={"onnxruntime": "1.31.1"}, agent="simulated", root=token.root,
    )  # fmt: skip
    with httpx.Client(verify=ssl.create_default_context(cadata=authority), trust_env=False) as client:
        answer = client.post(url + enrolment.ENROLL_PATH, content=canonical.encode(request))
    if answer.status_code != 200:
        raise revive(answer.json()["error"])
    return enrolment.decode_response(answer.content)


def fingerprint(pem: str) -> str:
    return canonical.sha256(x509.load_pem_x509_certificate(pem.encode()).public_bytes(serialization.Encoding.DER))


def root_of(response: EnrollResponse) -> bytes:
    import base64

    return base64.b64decode(response.root)


def client_context(folder: Path, identity: Identity) -> ssl.SSLContext:
    """TLS with the device's own certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "device.pem").write_text(identity.response.certificate)
    (folder / "device.key").write_bytes(keys.to_pem(identity.key))
    context = ssl.create_default_context(cadata=identity.response.authority)
    context.load_cert_chain(folder / "device.pem", folder / "device.key")
    return context


@dataclass
class Memory:
    """The device's memory of trust."""

    pins: Pins
    current: Floor = trust.NO_FLOOR
    kept: bytes | None = None
    confirmed: list[str] = field(default_factory=list)

    def floor(self) -> Floor:
        return self.current

    def raise_floor(self, floor: Floor) -> None:
        self.current = floor

    def proof(self) -> bytes | None:
        return self.kept

    def keep_proof(self, proof: bytes) -> None:
        self.kept = proof

    def has_confirmed(self, digest: str) -> bool:
        return digest in self.confirmed

    def acted_on(self) -> trust.Mark:
        return trust.Mark()


Outcome = Callable[["SimulatedDevice", Accepted], None]


def confirms(device: SimulatedDevice, accepted: Accepted) -> None:
    """Everything is well, and stays so."""
    device.confirm(accepted)


def reverts(device: SimulatedDevice, accepted: Accepted) -> None:
    """The health check fails."""
    device.report("trial", trial=accepted.assignment.digest)
    device.report("reverted", error=ErrorReport("agent.health_check_failed", "golden vectors do not come out"))


def confirms_worse(device: SimulatedDevice, accepted: Accepted) -> None:
    """The health check passes, and the rollout vectors say that the model is worse."""
    device.confirm(accepted, lost=30)


def stays_silent(device: SimulatedDevice, accepted: Accepted) -> None:
    """Never heard of again."""


class SimulatedDevice:
    """A device with an identity, connected to the broker.

    Args:
        folder: For its key and certificate.
        identity: As enrolled.
        outcome: What it makes of an assignment that names a bundle.
    """

    def __init__(self, folder: Path, identity: Identity, outcome: Outcome = confirms) -> None:
        self.identity = identity
        self.id = identity.device
        self.outcome = outcome
        response = identity.response
        self.memory = Memory(Pins(self.id, identity.hardware, trust.SCHEME, root_of(response)))
        self.boot = identifiers.new_boot_id()
        self.n = 0
        self.sequence = 0
        self.running: str | None = None
        self.sequences: list[int] = []
        self.acks: list[Ack] = []
        self.files: dict[str, bytes] = {}
        self.failures: list[Exception] = []
        self.blocks_received = 0
        self._timer = threading.Timer(0, lambda: None)
        self._parts: dict[int, bytes] = {}
        self._arrived = threading.Condition()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self.id, clean_session=False)
        self._client.tls_set_context(client_context(folder, identity))
        self._client.on_connect = lambda client, *_: client.subscribe(topics.device_subscriptions(self.id))
        self._client.on_message = self._received
        self._client.connect(response.broker.host, response.broker.port)
        self._client.loop_start()

    def close(self) -> None:
        self._timer.cancel()
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: topics.Topic, payload: bytes) -> None:
        self._client.publish(topics.of(topic, self.id), payload, topic.qos)

    def report(self, state: str, *, trial: str | None = None, error: ErrorReport | None = None,
               evidence: list[Evidence] | None = None, **changed: Any) -> int:  # fmt: skip
        """Publish a signed report; returns its number."""
        self.n += 1
        reported = Reported(
            v=1, device=self.id, ts=system_clock(), boot=self.boot, n=self.n, sequence=self.sequence, state=state,  # type: ignore[arg-type]
            running=self.running, confirmed=self.memory.confirmed[:2], trial=trial, hardware=self.identity.hardware,
            agent="simulated", runtimes={"onnxruntime": "1.31.1"}, error=error, evidence=evidence or [],
        )  # fmt: skip
        payload = messages.encode(msgspec.structs.replace(reported, **changed))
        self.publish(topics.REPORTED, dsse.sign(payload, dsse.REPORTED, [self.identity.key]))
        return self.n

    def confirm(self, accepted: Accepted, lost: int = 0) -> None:
        """Confirm the assigned bundle. With vectors: paired evidence now, and again at the end of the probation."""
        assignment = accepted.assignment
        assert assignment.digest is not None
        assert accepted.release is not None
        before, self.running = self.running, assignment.digest
        self.memory.confirmed = [assignment.digest, *(d for d in self.memory.confirmed if d != assignment.digest)]
        trust.confirm(accepted, self.memory)
        if assignment.vectors is None:
            self.report("confirmed")
            return
        self.report("confirmed", evidence=[self.evidence(assignment, "trial", before, lost)])
        self._timer = threading.Timer(assignment.probation_ms / 1000, self._end_probation, (assignment, before, lost))
        self._timer.start()

    def evidence(
        self, assignment: trust.Assignment, phase: Literal["trial", "probation"], before: str | None, lost: int
    ) -> Evidence:
        """What the rollout vectors show: the incumbent, if there is one, has ``lost`` cases more right."""
        assert assignment.vectors is not None
        assert assignment.digest is not None
        return Evidence(
            sequence=assignment.sequence, phase=phase, vectors=assignment.vectors.sha256, n=CASES,
            candidate=VectorsResult(assignment.digest, "0" * 64, 95 - lost),
            incumbent=VectorsResult(before, "1" * 64, 95) if before else None,
            only_incumbent_correct=lost if before else 0,
        )  # fmt: skip

    def _end_probation(self, assignment: trust.Assignment, before: str | None, lost: int) -> None:
        if self.sequence == assignment.sequence:
            self.report("confirmed", evidence=[self.evidence(assignment, "probation", before, lost)])

    def send_telemetry(self, records: list[TelemetryRecord]) -> None:
        self.publish(topics.TELEMETRY, messages.encode(Telemetry(1, self.id, system_clock(), records)))

    def fetch(self, sha256: str, total: int, timeout: float = 20.0) -> bytes:
        """Ask for all blocks of a file, a window at a time; not from within a callback."""
        with self._arrived:
            self._parts = {}
            count = blocks.block_count(total)
            while len(self._parts) < count:
                missing = [index for index in range(count) if index not in self._parts][: blocks.WINDOW]
                have = len(self._parts)
                self.ask_for(sha256, missing)
                wanted = have + len(missing)
                assert self._arrived.wait_for(lambda wanted=wanted: len(self._parts) >= wanted, timeout)
            data = b"".join(self._parts[index] for index in range(count))
        assert hashlib.sha256(data).hexdigest() == sha256
        return data

    def ask_for(self, sha256: str, indices: list[int]) -> None:
        self.publish(topics.NEED, messages.encode(Need(1, self.id, sha256, indices)))

    def wait_ack(self, stream: str, through: int, timeout: float = 20.0) -> Ack:
        """The first acknowledgement of ``stream`` that reaches ``through``."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: self._acked(stream, through) is not None, timeout)
            ack = self._acked(stream, through)
            assert ack is not None
            return ack

    def _acked(self, stream: str, through: int) -> Ack | None:
        return next((ack for ack in self.acks if ack.stream == stream and ack.through >= through), None)

    def _received(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        try:
            if message.topic == topics.of(topics.DESIRED, self.id):
                self._take_desired(bytes(message.payload))
            elif message.topic == topics.of(topics.ACK, self.id):
                with self._arrived:
                    self.acks.append(messages.open_order(bytes(message.payload), Ack, self.id, self._server_keys()))
                    self._arrived.notify_all()
            elif message.topic == topics.of(topics.BLOCK, self.id):
                block = blocks.decode(bytes(message.payload))
                with self._arrived:
                    self.blocks_received += 1
                    self._parts[block.index] = block.data
                    self._arrived.notify_all()
        except Exception as error:  # noqa: BLE001 - paho would only print it; tests look at the list
            self.failures.append(error)

    def _server_keys(self) -> Mapping[str, keys.PublicKey]:
        """Whose orders it obeys: those of the newest root that it has followed."""
        kept = self.memory.proof()
        newest = newest_root(self.memory.pins.root, decode_proof(kept) if kept is not None else None)
        return read_root(newest).assignment.keys

    def _take_desired(self, payload: bytes) -> None:
        desired = messages.decode(payload, Desired)
        if bytes(desired.assignment) == messages.NOTHING_ASSIGNED:
            trust.refresh(bytes(desired.proof), system_clock(), self.memory)
            return
        accepted = trust.accept(bytes(desired.assignment), bytes(desired.proof), system_clock(), self.memory)
        if accepted.repeated:
            return
        self.sequence = accepted.assignment.sequence
        self.sequences.append(self.sequence)
        if accepted.assignment.digest is None:
            self.report("confirmed" if self.running else "idle")
        elif accepted.assignment.digest in self.memory.confirmed:
            self.confirm(accepted)
        else:
            self.outcome(self, accepted)
