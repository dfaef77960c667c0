"""The server's side of the protocol, as little of it as an agent needs: a simulator, over any network.

``Operator`` holds the keys of a fleet, ``FleetSide`` answers one device as the server must, ``InProcessNetwork`` joins
it to an agent without a broker.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgefleet_agent import identity, trust_store
from edgefleet_agent.clock import SystemClock
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.inbox import Connected, Inbox, Received
from edgefleet_contract import blocks, canonical, dsse, identifiers, keys, messages, topics, trust
from edgefleet_contract.enrolment import BrokerAddress, ClaimToken, EnrollRequest, EnrollResponse
from edgefleet_contract.messages import (
    Ack,
    Desired,
    Need,
    Reported,
    SignedTime,
    Telemetry,
    TelemetryRecord,
    TimeRequest,
)
from edgefleet_contract.topics import Topic
from support.bundles import ISSUED, release_of
from support.tuf_repository import TufRepository

FAR_AHEAD_MS = 4_102_444_800_000  # the year 2100
HARDWARE = "x86-64"


@dataclass
class Operator:
    """Keys, certificate authority and assignments of a fleet."""

    repository: TufRepository = field(default_factory=TufRepository)
    authority_key: ec.EllipticCurvePrivateKey = field(default_factory=keys.generate_device_key)

    def __post_init__(self) -> None:
        self.authority = _certificate("edgefleet test authority", self.authority_key.public_key(), self, ca=True)

    @property
    def authority_pem(self) -> bytes:
        return self.authority.public_bytes(Encoding.PEM)

    def certificate(self, name: str, public_key: keys.PublicKey, *, server: bool = False) -> bytes:
        """A certificate by the fleet's authority, PEM."""
        return _certificate(name, public_key, self, server=server).public_bytes(Encoding.PEM)

    def token(self, **changes: object) -> ClaimToken:
        """A claim token of this fleet."""
        authority = canonical.sha256(self.authority.public_bytes(Encoding.DER))
        plain = ClaimToken(1, "t-1", "s" * 43, authority, trust.root_digest(self.repository.first_root))
        return msgspec.structs.replace(plain, **changes)

    def answer(self, request: EnrollRequest, device: str, broker: BrokerAddress) -> EnrollResponse:
        """What the server answers to an enrolment."""
        public_key = x509.load_pem_x509_csr(request.csr.encode()).public_key()
        return EnrollResponse(
            v=1,
            device=device,
            certificate=self.certificate(device, public_key).decode(),
            authority=self.authority_pem.decode(),
            root=base64.b64encode(self.repository.first_root).decode(),
            broker=broker,
        )

    def assign(
        self,
        device: str,
        bundle_files: Sequence[Path],
        sequence: int,
        *,
        vectors: bytes | None = None,
        key: keys.PrivateKey | None = None,
        issued: int = ISSUED,
        permit: bytes | None = None,
        **changes: object,
    ) -> bytes:
        """A desired twin that assigns the first of a release's bundles; none of them withdraws."""
        reference = None if vectors is None else trust.FileReference(canonical.sha256(vectors), len(vectors))
        path = self.publish(bundle_files, issued=issued) if bundle_files else None
        digest = release_of(bundle_files).bundles[0].digest if bundle_files else None
        purpose: trust.Purpose = "deploy" if bundle_files else "withdraw"
        assignment = trust.Assignment(1, device, HARDWARE, digest, sequence, FAR_AHEAD_MS, "r-1", 0, reference, purpose)
        assignment = msgspec.structs.replace(assignment, **changes)
        signers = [key] if key is not None else self.repository.assignment.private
        envelope = dsse.sign(canonical.encode(assignment), dsse.ASSIGNMENT, signers)
        proof = self.repository.proof(path, permit)
        return messages.encode(Desired(1, msgspec.Raw(envelope), msgspec.Raw(proof)))

    def publish(self, bundle_files: Sequence[Path], *, issued: int = ISSUED) -> str:
        """Add a release to the repository; returns the path of its first bundle."""
        stated = release_of(bundle_files, issued=issued)
        return self.repository.release(stated.release, *stated.bundles)

    def lend_assignment_key(self, folder: DataFolder) -> None:
        """Put the assignment key where the server of this device, in whatever process, finds it."""
        (folder.root.parent / "assignment.pem").write_bytes(keys.to_pem(self.repository.assignment.private[0]))

    def enrolled_folder(self, path: Path, *, broker: BrokerAddress | None = None) -> tuple[DataFolder, str]:
        """A data folder as enrolment leaves it, and the device's id."""
        folder, disk, device = DataFolder(path), Disk(), identifiers.new_device_id()
        key = keys.generate_device_key()
        disk.make_folder(folder.identity)
        disk.make_folder(folder.trust)
        disk.write(identity.key_path(folder), keys.to_pem(key))
        self.lend_assignment_key(folder)
        disk.write(identity.certificate_path(folder), self.certificate(device, key.public_key()))
        disk.write(identity.authority_path(folder), self.authority_pem)
        pins = trust.Pins(device, HARDWARE, trust.SCHEME, self.repository.first_root)
        trust_store.save_pins(disk, folder, pins)
        broker = broker or BrokerAddress("127.0.0.1", 1)
        card = identity.Card(1, device, HARDWARE, "https://127.0.0.1:1", broker, FAR_AHEAD_MS)
        identity.save_card(disk, folder, card)
        return folder, device


def _certificate(
    name: str, public_key: keys.PublicKey, operator: Operator, *, ca: bool = False, server: bool = False
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edgefleet test authority")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=365 * 50))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(operator.authority_key.public_key()), critical=False
        )
    )
    if ca:
        builder = builder.add_extension(
            x509.KeyUsage(
                digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
                key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )  # fmt: skip
    else:
        loopback = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(loopback), critical=False)
    return builder.sign(operator.authority_key, hashes.SHA256())


class FleetSide:
    """Answers one device: serves blocks, verifies reports, keeps telemetry, acknowledges.

    Args:
        folder: The device's data folder, for its public key.
        device: Its id.
        files: Files that it may ask for.
    """

    def __init__(self, folder: DataFolder, device: str, files: Sequence[bytes]) -> None:
        public_key = identity.Identity(folder).signer.public_key()
        self._trusted = {keys.key_id(public_key): public_key}
        self._device = device
        self._files = {canonical.sha256(data): data for data in files}
        self.desired: bytes | None = None
        self.reports: list[Reported] = []
        self.telemetry: dict[tuple[str, int], TelemetryRecord] = {}
        self.asked: list[tuple[str, int]] = []
        self._assignment_key = keys.from_pem((folder.root.parent / "assignment.pem").read_bytes())
        self.acknowledging = True
        self.telling_time = True
        self.time_ms: Callable[[], int] = SystemClock().now_ms
        self.withhold = False  # whether blocks get lost

    def seal(self, order: Ack | SignedTime) -> bytes:
        """Signed by the assignment key."""
        return dsse.sign(messages.encode(order), messages.PAYLOAD_TYPES[type(order)], [self._assignment_key])

    def offer(self, data: bytes) -> None:
        """Serve one more file."""
        self._files[canonical.sha256(data)] = data

    def answer(self, topic: Topic, payload: bytes) -> list[tuple[Topic, bytes]]:
        """What the server sends in answer to a message of the device."""
        match topic.name:
            case "time":
                request = messages.decode(payload, TimeRequest)
                told = SignedTime(1, self._device, request.nonce, self.time_ms())
                return [(topics.TIME, self.seal(told))] if self.telling_time else []
            case "need":
                return [(topics.BLOCK, block) for block in self._blocks(messages.decode(payload, Need))]
            case "reported":
                report = messages.decode(dsse.verify(payload, dsse.REPORTED, self._trusted), Reported)
                assert report.device == self._device
                self.reports.append(report)
                acks = [Ack(1, self._device, "reported", report.boot, report.n)]
            case "telemetry":
                records = messages.decode(payload, Telemetry).records
                self.telemetry.update({(record.boot, record.n): record for record in records})
                last = {record.boot: record.n for record in records}
                acks = [Ack(1, self._device, "telemetry", boot, n) for boot, n in last.items()]
        return [(topics.ACK, self.seal(ack)) for ack in acks] if self.acknowledging else []

    def _blocks(self, need: Need) -> list[bytes]:
        assert len(need.blocks) <= blocks.WINDOW
        if self.withhold:
            return []
        data = self._files[need.sha256]
        self.asked += [(need.sha256, index) for index in need.blocks]
        size = blocks.BLOCK_BYTES
        return [
            blocks.encode(blocks.Block(need.sha256, index, len(data), data[index * size : (index + 1) * size]))
            for index in need.blocks
        ]


class InProcessNetwork:
    """A network without a broker: what the agent publishes is answered at once, into its inbox."""

    def __init__(self, side: FleetSide, inbox: Inbox) -> None:
        self.side = side
        self.inbox = inbox
        self.is_connected = False
        self.is_shut_out = False

    def start(self, now_ms: Callable[[], int]) -> None:
        self.connect()

    def connect(self) -> None:
        """The broker is there: it repeats what it retains."""
        self.is_connected = True
        self.inbox.put(Connected())
        if self.side.desired is not None:
            self.send(topics.DESIRED, self.side.desired)

    def cut(self) -> None:
        """The broker is away."""
        self.is_connected = False

    def send(self, topic: Topic, payload: bytes) -> None:
        """The server sends; nothing arrives while the broker is away."""
        if self.is_connected:
            self.inbox.put(Received(topic, payload))

    def publish(self, topic: Topic, payload: bytes) -> None:
        if self.is_connected:
            for answer in self.side.answer(topic, payload):
                self.send(*answer)

    def renewed(self) -> None:
        self.connect()

    def stop(self) -> None:
        self.is_connected = False
