"""What is signed and what is pinned: the statements of trust, as frozen structs."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from edgefleet_contract import canonical
from edgefleet_contract.counting import Count
from edgefleet_contract.sealing.wrapping import WrappedKey
from edgefleet_contract.trust.floors import Floor, KeySet

VERSION = 1
STATEMENT_LIMIT = 128 * 1024  # bytes
PERMIT_LIFE_LIMIT = 366 * 86_400_000  # ms: a forgotten one must end some time, as all that its signers sign
Scheme = Literal["tuf/1"]
SCHEME: Scheme = "tuf/1"
Purpose = Literal["deploy", "rollback", "withdraw"]


class Time(msgspec.Struct, frozen=True):
    """What time it is, in UTC milliseconds, as a device knows it.

    Attributes:
        now: By which it goes.
        own: By its own clock, without the word of the assignment keys: counts where a root has replaced these.
        latest: The latest that the server has signed, believed or held; nothing honest was released after it.
    """

    now: int
    own: int
    latest: int

    @classmethod
    def at(cls, now: int | Time) -> Time:
        """The time where nobody doubts it."""
        return now if isinstance(now, Time) else cls(now, now, now)


class Release(msgspec.Struct, frozen=True):
    """What a publisher says of one version of a model.

    Attributes:
        issued: UTC milliseconds at signing; orders the releases of one model.
        security_floor: Set by the publisher.
    """

    name: str
    version: str
    issued: int
    security_floor: int


class ReleasedBundle(msgspec.Struct, frozen=True):
    """One bundle of a release: its identity, whom it is for, and what a transfer of it must hash to.

    Attributes:
        digest: Of the manifest.
        sha256, bytes: Of the file that is transferred: of the encrypted one if ``private``.
        private: Whether the file is encrypted, and its key comes in the assignment.
    """

    target: str
    hardware: list[str]
    digest: str
    sha256: str
    bytes: int
    private: bool = False


class FileReference(msgspec.Struct, frozen=True):
    """A file by its content."""

    sha256: str
    bytes: Count


class Assignment(msgspec.Struct, frozen=True):
    """What one device is to run, by the assignment key.

    Attributes:
        device: The only device it is for.
        hardware: What that device declared at enrolment.
        digest: The bundle to run; None withdraws what is not confirmed yet: stay with what runs.
        sequence: The only order of assignments.
        expires: UTC milliseconds after which it cannot be activated any more.
        rollout: The rollout it belongs to, for reports and logs.
        probation_ms: How long the device is watched after it confirms.
        vectors: The rollout vectors to run in trial and probation.
        purpose: A rollback goes to what the device confirmed before; only a withdrawal has no digest.
        content_key: Of a private bundle, wrapped to this device's key.
    """

    v: int
    device: str
    hardware: str
    digest: str | None
    sequence: Count
    expires: Count
    rollout: str = ""
    probation_ms: Count = 0
    vectors: FileReference | None = None
    purpose: Purpose = "deploy"
    content_key: WrappedKey | None = None


class Permit(msgspec.Struct, frozen=True):
    """Leave for a downgrade, by the offline targets keys: these devices may run this older bundle.

    Attributes:
        devices: Ids.
        digest: Of the bundle.
        expires: UTC milliseconds after which it permits nothing.
    """

    v: int
    devices: list[str]
    digest: str
    expires: Count


class Pins(msgspec.Struct, frozen=True):
    """What enrolment fixed: who this device is, and whom it believes.

    Attributes:
        scheme: How releases are proven; a message never chooses it.
        root: Exact bytes of the root metadata that the claim token named; every later root follows from it.
    """

    device: str
    hardware: str
    scheme: Scheme
    root: bytes


class Mark(msgspec.Struct, frozen=True):
    """How far assignments have come: a sequence, and the keys that counted it; None before the first."""

    sequence: int = 0
    keys: KeySet | None = None


class Accepted(msgspec.Struct, frozen=True):
    """An assignment this device may act upon.

    Attributes:
        assignment: As signed.
        release: The proven release; None when the assignment names no bundle.
        bundle: The assigned bundle of that release.
        repeated: The very same assignment was accepted before.
        delegation: The key set under which a confirmation raises the security floor and the age of the model's
            releases; None as ``release``.
        assigners: The key set under which the assignment's sequence counts.
    """

    assignment: Assignment
    release: Release | None
    bundle: ReleasedBundle | None
    repeated: bool
    delegation: KeySet | None = None
    assigners: KeySet | None = None

    @property
    def mark(self) -> Mark:
        """How far assignments have come with this one."""
        return Mark(self.assignment.sequence, self.assigners)


class TrustStore(Protocol):
    """The device's memory of trust. What it is told is durable when the call returns."""

    @property
    def pins(self) -> Pins:
        """Who this device is, and whom it believes."""

    def floor(self) -> Floor:
        """The floor as it stands; one with ``root`` 0 if none was ever written, or the file is lost."""

    def raise_floor(self, floor: Floor) -> None:
        """Replace the floor."""

    def proof(self) -> bytes | None:
        """The proof accepted last; None if there is none."""

    def keep_proof(self, proof: bytes) -> None:
        """Replace the proof accepted last."""

    def has_confirmed(self, digest: str) -> bool:
        """Whether this device has ever confirmed the bundle."""

    def acted_on(self) -> Mark:
        """Of the assignment acted on last, as the state record has it."""


def root_digest(root: bytes) -> str:
    """SHA-256 of a root's exact bytes: what a claim token names."""
    return canonical.sha256(root)
