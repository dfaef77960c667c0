"""One sample of everything the contract writes, with fixed keys, so that golden bytes can be compared."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgefleet_contract import canonical, dsse, keys, manifest, trust
from edgefleet_contract.bundle import write_bundle
from edgefleet_contract.manifest import FileEntry, Manifest
from support.tuf_repository import Holders, TufRepository

ROOT_KEY = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
TARGETS_KEY = Ed25519PrivateKey.from_private_bytes(b"t" * 32)
ASSIGNMENT_KEY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
ONLINE_KEY = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
STRANGER_KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)

DEVICE = "d-aaaaaaaaaaaaaaaa"
HARDWARE = "x86-64"
NOW = 1_790_000_000_000  # UTC milliseconds

CONTENTS = {"model.onnx": b"an artifact" * 50, "golden.npz": b"vectors", "empty.txt": b""}


def sample_manifest(**changes: object) -> Manifest:
    plain = Manifest(
        v=manifest.VERSION,
        name="digits",
        version="1.0.0",
        security_floor=0,
        target="x86-64",
        hardware=[HARDWARE],
        format="onnx",
        runtime=manifest.RuntimeNeed("onnxruntime", "1.18", ["Conv", "QuantizeLinear"]),
        artifact="model.onnx",
        inputs=[manifest.TensorSpec("image", "float32", [1, 8, 8, 1], "NHWC")],
        outputs=[manifest.TensorSpec("probabilities", "float32", [1, 10])],
        files=[FileEntry(path, canonical.sha256(data), len(data)) for path, data in CONTENTS.items()],
        golden=[manifest.GoldenVectors("artifact", "golden.npz", 1, 1e-3, 1.0)],
        lineage=manifest.Lineage("0" * 64, "1" * 64, [manifest.DataSource("calibration", "2" * 64)], ["fold"], {}),
    )
    return msgspec.structs.replace(plain, **changes)


def bundle_bytes(described: Manifest | None = None) -> bytes:
    target = io.BytesIO()
    write_bundle(target, described or sample_manifest(), CONTENTS)
    return target.getvalue()


def sample_release(**changes: object) -> trust.Release:
    return msgspec.structs.replace(trust.Release("digits", "1.0.0", NOW - 1000, 0), **changes)


def sample_released_bundle(**changes: object) -> trust.ReleasedBundle:
    plain = trust.ReleasedBundle("x86-64", [HARDWARE], "d" * 64, "f" * 64, 1000)
    return msgspec.structs.replace(plain, **changes)


def sample_assignment(**changes: object) -> trust.Assignment:
    plain = trust.Assignment(1, DEVICE, HARDWARE, "d" * 64, 7, NOW + 60_000, "r-1", 5000)
    return msgspec.structs.replace(plain, **changes)


def sample_repository() -> TufRepository:
    """A repository of fixed keys, without a release."""
    return TufRepository(
        root=Holders((ROOT_KEY,)),
        targets=Holders((TARGETS_KEY,)),
        timestamp=Holders((ONLINE_KEY,)),
        assignment=Holders((ASSIGNMENT_KEY,)),
    )


def sample_proof(release: trust.Release | None = None, bundle: trust.ReleasedBundle | None = None) -> bytes:
    """A proof of the sample bundle, or of another."""
    repository = sample_repository()
    return repository.proof(repository.release(release or sample_release(), bundle or sample_released_bundle()))


def signed_assignment(assignment: trust.Assignment | None = None, key: keys.PrivateKey = ASSIGNMENT_KEY) -> bytes:
    return dsse.sign(canonical.encode(assignment or sample_assignment()), dsse.ASSIGNMENT, [key])


@dataclass
class MemoryStore:
    """A trust store in memory; ``raised`` records every floor, so that a test can see that nothing was remembered."""

    pins: trust.Pins = field(
        default_factory=lambda: trust.Pins(DEVICE, HARDWARE, trust.SCHEME, sample_repository().first_root)
    )
    confirmed: set[str] = field(default_factory=set)
    raised: list[trust.Floor] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    acted: trust.Mark = field(default_factory=trust.Mark)

    def floor(self) -> trust.Floor:
        return self.raised[-1] if self.raised else trust.NO_FLOOR

    def raise_floor(self, floor: trust.Floor) -> None:
        if floor != self.floor():
            self.raised.append(floor)

    def proof(self) -> bytes | None:
        return self.kept[-1] if self.kept else None

    def keep_proof(self, proof: bytes) -> None:
        self.kept.append(proof)

    def has_confirmed(self, digest: str) -> bool:
        return digest in self.confirmed

    def acted_on(self) -> trust.Mark:
        return self.acted
