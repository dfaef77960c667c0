"""A fleet server's inside without its network: database, policy and ingest under a clock that the test turns."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgefleet_contract import canonical, dsse, enrolment, identifiers, keys, messages, topics, trust
from edgefleet_contract.enrolment import BrokerAddress, ClaimToken, EnrollRequest
from edgefleet_contract.messages import ErrorReport, Evidence, Reported, Telemetry, TelemetryRecord, VectorsResult
from edgefleet_server import migrate
from edgefleet_server.audit.service import Acts, entries
from edgefleet_server.authority import Authority
from edgefleet_server.clock import DAY
from edgefleet_server.core import Core
from edgefleet_server.data_folder import DataFolder
from edgefleet_server.db import Database
from edgefleet_server.devices import tokens
from edgefleet_server.devices.enrolment import Enroller
from edgefleet_server.devices.hooks import Hooks
from edgefleet_server.devices.renewal import Renewer
from edgefleet_server.fleet import Fleet
from edgefleet_server.gate import Gate
from edgefleet_server.health import DiskProbe
from edgefleet_server.ingest import Ingest, Outcome
from edgefleet_server.metrics import Metrics
from edgefleet_server.mqtt import Incoming
from edgefleet_server.publisher.draft import Draft
from edgefleet_server.publisher.private import BundleSealer
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.publisher.statement import state_release
from edgefleet_server.releases import service as releases
from edgefleet_server.releases.blobs import BlobStore
from edgefleet_server.releases.content_keys import ContentKeys
from edgefleet_server.rollouts import service as rollouts
from edgefleet_server.rollouts.assignments import Assigner
from edgefleet_server.rollouts.engine import Engine
from edgefleet_server.rollouts.models import Assignment, Deployment, Rollout
from edgefleet_server.rollouts.service import RolloutRequest
from edgefleet_server.telemetry.references import References
from edgefleet_server.trust import service as trust_service
from edgefleet_server.trust.online_keys import OnlineKeys
from edgefleet_server.trust.sealing import Sealing
from edgefleet_server.trust.server_keys import ASSIGNMENT
from support.server_device import make_csr
from support.tiny_bundles import CASES, tiny_bundle

NOON = 1_800_000_000_000  # UTC milliseconds


class TurnableClock:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now

    def turn(self, milliseconds: int) -> None:
        self.now += milliseconds


class StandIn:
    """A device as the server sees it: its key, and what it says."""

    def __init__(self, inside: Inside, device: str, key: Any, hardware: str) -> None:
        self._inside = inside
        self.id = device
        self.key = key
        self.hardware = hardware
        self.boot = identifiers.new_boot_id()
        self.n = 0
        self.running: str | None = None
        self.confirmed: list[str] = []

    def assignment(self) -> trust.Assignment:
        """What it is assigned now, as signed."""
        with self._inside.database.read() as session:
            found = session.get(rollouts.Device, self.id)
            assert found is not None
            envelope = session.get_one(Assignment, (self.id, found.sequence)).envelope
        key = self._inside.online_keys.key(self._inside.publisher.repository().root, ASSIGNMENT).private.public_key()
        payload = dsse.verify(envelope, dsse.ASSIGNMENT, {keys.key_id(key): key})
        return canonical.decode(payload, trust.Assignment, what="assignment", limit=len(payload))

    def message(self, state: str, **changed: Any) -> Incoming:
        """A signed report of ``state`` under the assignment in force, or with other fields ``changed``."""
        self.n += 1
        fields: dict[str, Any] = {
            "v": 1, "device": self.id, "ts": 0, "boot": self.boot, "n": self.n, "state": state,
            "running": self.running, "confirmed": self.confirmed, "trial": None, "hardware": self.hardware,
            "agent": "test", "runtimes": {}, **changed,
        }  # fmt: skip
        if "sequence" not in fields:
            fields["sequence"] = self.assignment().sequence
        envelope = dsse.sign(messages.encode(Reported(**fields)), dsse.REPORTED, [self.key])
        return Incoming(topics.of(topics.REPORTED, self.id), envelope, self.n, 1)

    def says(self, state: str, **changed: Any) -> Outcome:
        """Report ``state``, and let the policy act."""
        outcome = self._inside.ingest.store([self.message(state, **changed)])
        self._inside.engine.run_until_quiet()
        return outcome

    def confirms(self, lost: int = 0, phases: Sequence[str] = ("trial",), **changed: Any) -> Outcome:
        """Confirm what is assigned, with paired evidence in which the incumbent has ``lost`` cases more right."""
        assignment = self.assignment()
        assert assignment.digest is not None
        before = self.running if self.running != assignment.digest else None
        self.running = assignment.digest
        self.confirmed = [assignment.digest, *(digest for digest in self.confirmed if digest != assignment.digest)]
        evidence = [self.evidence(phase, before, lost) for phase in phases if assignment.vectors]
        return self.says("confirmed", evidence=evidence, **changed)

    def evidence(self, phase: str, before: str | None, lost: int = 0) -> Evidence:
        """Evidence of ``CASES`` cases, of which the incumbent has 190 right."""
        assignment = self.assignment()
        assert assignment.vectors is not None
        assert assignment.digest is not None
        return Evidence(
            sequence=assignment.sequence, phase=phase, vectors=assignment.vectors.sha256, n=CASES,  # type: ignore[arg-type]
            candidate=VectorsResult(assignment.digest, "0" * 64, 190 - lost),
            incumbent=VectorsResult(before, "1" * 64, 190) if before else None,
            only_incumbent_correct=lost if before else 0,
        )  # fmt: skip

    def fails(self, state: str = "reverted", code: str = "agent.health_check_failed") -> Outcome:
        return self.says(state, error=ErrorReport(code, "golden vectors do not come out"))

    def telemetry(self, records: Sequence[TelemetryRecord], device: str | None = None) -> Incoming:
        payload = messages.encode(Telemetry(1, device or self.id, 0, list(records)))
        return Incoming(topics.of(topics.TELEMETRY, self.id), payload, 1, 1)


class Inside:
    """Database, policy and ingest of a server in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = TurnableClock()
        is_new = not (folder / "data").exists()
        self.data = DataFolder(folder / "data")
        self.database = Database(self.data.database_url)
        migrate.prepare(self.database)
        self.authority = Authority(self.data.authority, self.clock)
        self.online_keys = OnlineKeys(self.data.keys)
        self.blobs = BlobStore(self.data.blobs)
        self.content_keys = ContentKeys(self.data.content_keys, self.blobs)
        self.references = References(self.blobs)
        self.metrics = Metrics()
        self.publisher = Publisher(folder / "home")
        self.publisher.ensure()
        self.enroller = Enroller(self.authority, BrokerAddress("127.0.0.1", 1), Renewer(self.authority, self.clock))
        self.revoked: list[str] = []
        core = Core(self.clock, self.database, self.blobs, self.content_keys, self.references, self.metrics)
        self.gate = Gate(core, self.data.admin_token())
        self.fleet = Fleet(
            clock=self.clock, database=self.database, blobs=self.blobs,
            content_keys=self.content_keys, references=self.references,
            metrics=self.metrics, authority=self.authority, enroller=self.enroller,
            gate=self.gate, online_keys=self.online_keys, wake=lambda: None,
            wake_all=lambda: None, broker_connected=lambda: True, hears_devices=lambda: True,
            disk=DiskProbe(core),
            devices_url="https://127.0.0.1:1", hooks=Hooks(self.data.hooks), on_revoked=self.revoked.extend,
        )  # fmt: skip
        self.needs: list[messages.Need] = []
        self.ingest = Ingest(
            self.database, self.clock, self.references, self.metrics, sealing=Sealing(self.database, self.online_keys),
            on_need=self.needs.append, on_stored=lambda outcome: None,
        )  # fmt: skip
        self.engine = Engine(self.database, Assigner(self.online_keys, self.content_keys, self.clock), self.clock)
        if is_new:
            self.take(self.publisher.first(self.online_keys.public(None), self.clock()))

    def take(self, draft: Draft) -> None:
        """Give the server new metadata, and keep them at the publisher's."""
        with self.fleet.change("admin") as change:
            self.publisher.keep(trust_service.take(change, self.online_keys, draft.files()))

    def close(self) -> None:
        self.database.close()
        self.data.close()

    def token(self, life: int = DAY, device: str | None = None, **tags: str) -> ClaimToken:
        with self.fleet.change("admin") as change:
            made, secret = tokens.create(change, life, tags, device)
            root = self.publisher.repository().root_digest
            return ClaimToken(1, made.id, secret, self.authority.digest, str(root))

    def request(self, token: ClaimToken, key: Any, hardware: str = "x86-64") -> EnrollRequest:
        return EnrollRequest(1, token.id, token.secret, make_csr(key), hardware, {"onnxruntime": "1.31"}, "test")

    def enroll(self, request: EnrollRequest, origin: str | None = None) -> enrolment.EnrollResponse:
        with self.fleet.change("device", origin) as change:
            return self.enroller.enroll(change, request)

    def device(self, hardware: str = "x86-64", **tags: str) -> StandIn:
        key = keys.generate_device_key()
        response = self.enroll(self.request(self.token(**tags), key, hardware))
        assert base64.b64decode(response.root) == self.publisher.repository().roots[-1]
        return StandIn(self, response.device, key, hardware)

    def push(self, *paths: Path, private: bool = False) -> str:
        """Push bundles as one release; its label."""
        sealer = BundleSealer(self.folder / "home", self.folder) if private else None
        stated = state_release(paths or [tiny_bundle(self.folder)], self.clock(), sealer)
        draft = self.publisher.release(self.publisher.repository(), stated, self.clock())
        for bundle, path in stated.files:
            self.blobs.store(bundle.sha256, path.read_bytes())
            with self.database.write() as session:
                releases.add_blob(session, self.clock(), bundle.sha256, bundle.bytes)
            if sealer is not None:
                self.content_keys.put(bundle.sha256, sealer.key(bundle.digest))
        with self.fleet.change("admin") as change:
            repository = trust_service.take(change, self.online_keys, draft.files())
            label = releases.push(change, repository, stated.label, self.blobs, self.content_keys).label
        self.publisher.keep(repository)
        return label

    def roll_out(self, release: str, **changed: Any) -> str:
        """Create and start a rollout to all; its label."""
        request = {
            "release": release, "to": "all", "stages": (100.0,), "success": 0.9, "error": 0.1,
            "probation_ms": 60_000, "vectors_sha256": None, **changed,
        }  # fmt: skip
        with self.fleet.change("admin") as change:
            rollout = rollouts.create(change, RolloutRequest(**request), self.blobs)
            rollouts.start(change, rollout)
            label = rollout.label
        self.engine.run_until_quiet()
        return label

    def act(self, verb: str, label: str) -> None:
        with self.fleet.change("admin") as change:
            rollouts.VERBS[verb](change, rollouts.rollout(change.session, label))
        self.engine.run_until_quiet()

    def pass_time(self, milliseconds: int) -> None:
        """Turn the clock, and let the policy see it."""
        self.clock.turn(milliseconds)
        self.engine.run_until_quiet()

    def settle(self, label: str, *devices: StandIn) -> None:
        """Let ``devices`` confirm what they are assigned and live through probation."""
        for device in devices:
            device.confirms()
        self.pass_time(60_000)
        assert self.rollout(label).state == "finished"

    def rollout(self, label: str) -> Rollout:
        with self.database.read() as session:
            return rollouts.rollout(session, label)

    def deployment(self, label: str, device: StandIn) -> Deployment:
        with self.database.read() as session:
            return session.get_one(Deployment, (self.rollout(label).id, device.id))

    def states(self, label: str) -> dict[str, int]:
        """Deployments by state."""
        counted: dict[str, int] = {}
        with self.database.read() as session:
            for deployment in rollouts.deployments(session, rollouts.rollout(session, label)):
                counted[deployment.state] = counted.get(deployment.state, 0) + 1
        return counted

    def acts(self, label: str | None = None) -> list[str]:
        """What the audit log says was done, in order."""
        with self.database.read() as session:
            number = self.rollout(label).id if label else None
            return [entry.act for entry in entries(session, Acts(rollout=number), after=0, limit=10_000)]


class SiteOfThree:
    """Three devices that run 1.0.0."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside
        self.devices = [inside.device() for _ in range(3)]
        self.first = inside.roll_out(inside.push())
        inside.settle(self.first, *self.devices)
        self.digest = self.devices[0].running

    def in_stage(self, label: str, stage: int) -> list[StandIn]:
        """The devices of a stage, from 0."""
        return [device for device in self.devices if self.inside.deployment(label, device).stage == stage]


CANARY = {"stages": (30.0, 100.0)}
"""One device of three, then the others."""


def roll_out_second(inside: Inside, **changed: object) -> str:
    """A rollout of 1.1.0 with one canary; its label."""
    return inside.roll_out(inside.push(tiny_bundle(inside.folder, "1.1.0")), **{**CANARY, **changed})
