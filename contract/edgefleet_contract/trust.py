"""What a device believes: ``accept`` decides, the store remembers. Pure: no clock, network or disk of its own.

Three keys, three powers. The *root* key says which targets keys there are. *Targets* keys, on the operator's machine,
say which bundles exist. The *assignment* key, on the server, says which of them this device runs. A stolen server can
therefore choose among signed releases, and the floors keep it from choosing old ones.

The order of checks follows the TUF client workflow (specification 1.0.33, section 5): who signed, for whom, which
version, until when; only then is anything remembered. The scheme of the proof is pinned at enrolment and is never
chosen by the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, TypeVar

import msgspec

from edgefleet_contract import canonical, dsse, keys
from edgefleet_contract.errors import (
    AssignmentExpired,
    AssignmentReplayed,
    DowngradeRefused,
    SchemeMismatch,
    SecurityFloorViolated,
    StatementMalformed,
    WrongDevice,
    WrongTarget,
)

VERSION = 1
STATEMENT_LIMIT = 128 * 1024  # bytes
Scheme = Literal["release-statement/1"]
SCHEME: Scheme = "release-statement/1"


class Root(msgspec.Struct, frozen=True):
    """The trust root, signed by the root key it names; made on the operator's machine.

    Attributes:
        root: The root public key.
        scheme: How releases are proven.
        targets: Public keys that sign releases.
        threshold: How many of them must sign.
    """

    v: int
    root: str
    scheme: Scheme
    targets: list[str]
    threshold: int


class ReleasedBundle(msgspec.Struct, frozen=True):
    """One bundle of a release: its identity, whom it is for, and what a transfer of it must hash to."""

    target: str
    hardware: list[str]
    digest: str
    sha256: str
    bytes: int


class Release(msgspec.Struct, frozen=True):
    """The release statement that targets keys sign.

    Attributes:
        issued: UTC milliseconds at signing; orders the releases of one model.
        security_floor: Set by the publisher.
    """

    v: int
    name: str
    version: str
    issued: int
    security_floor: int
    bundles: list[ReleasedBundle]


class FileReference(msgspec.Struct, frozen=True):
    """A file by its content."""

    sha256: str
    bytes: int


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
    """

    v: int
    device: str
    hardware: str
    digest: str | None
    sequence: int
    expires: int
    rollout: str = ""
    probation_ms: int = 0
    vectors: FileReference | None = None


class Pins(msgspec.Struct, frozen=True):
    """What enrolment fixed: who this device is, and whom it believes."""

    device: str
    hardware: str
    root: Root
    assignment_keys: list[str]


class Floor(msgspec.Struct, frozen=True):
    """What must never sink, whatever else is lost.

    Attributes:
        sequence: Highest sequence accepted.
        assignment_sha256: The payload accepted under it; the same one may come again.
        security_floor: Highest one confirmed.
        issued: Highest ``Release.issued`` confirmed, by model name.
    """

    sequence: int = 0
    assignment_sha256: str = ""
    security_floor: int = 0
    issued: dict[str, int] = {}


Kind = TypeVar("Kind", Root, Release, Assignment)


class TrustStore(Protocol):
    """The device's memory of trust. ``raise_floor`` is durable when it returns."""

    @property
    def pins(self) -> Pins:
        """Who this device is, and whom it believes."""

    def floor(self) -> Floor:
        """The floor as it stands."""

    def raise_floor(self, floor: Floor) -> None:
        """Replace the floor, durably."""

    def has_confirmed(self, digest: str) -> bool:
        """Whether this device has ever confirmed the bundle."""


class Accepted(msgspec.Struct, frozen=True):
    """An assignment this device may act upon.

    Attributes:
        assignment: As signed.
        release: The proven release; None when the assignment names no bundle.
        bundle: The assigned bundle of that release.
        repeated: The very same assignment was accepted before.
    """

    assignment: Assignment
    release: Release | None
    bundle: ReleasedBundle | None
    repeated: bool


def accept(assignment: bytes, proof: bytes, now: int, store: TrustStore) -> Accepted:
    """Decide whether to act on an assignment; on success its sequence is the floor.

    Args:
        assignment: DSSE envelope of an :class:`Assignment`.
        proof: What the pinned scheme needs; opaque to callers.
        now: UTC milliseconds.
        store: The device's memory.

    Raises:
        VerificationError: One of its leaves; the store is unchanged.
    """
    claimed, payload_sha256 = addressed(assignment, store.pins)
    floor = store.floor()
    repeated = _check_sequence(claimed, payload_sha256, floor)
    if claimed.expires <= now:
        raise AssignmentExpired(
            f"Assignment {claimed.sequence} expired at {claimed.expires} ms, and it is {now} ms",
            remedy="Wait for the server to renew it; check this device's clock if it should be valid.",
        )
    release, bundle = None, None
    if claimed.digest is not None:
        release = _proven_release(proof, store.pins.root)
        bundle = _assigned_bundle(release, claimed)
        _check_age(release, claimed.digest, floor, store)
    if not repeated:
        raised = msgspec.structs.replace(floor, sequence=claimed.sequence, assignment_sha256=payload_sha256)
        store.raise_floor(raised)
    return Accepted(claimed, release, bundle, repeated)


def addressed(assignment: bytes, pins: Pins) -> tuple[Assignment, str]:
    """The assignment of an envelope and its payload's SHA-256, if a pinned key signed it for this device.

    Whether it is new, in time and proven is for :func:`accept` to say. What it refuses after this, the server did
    assign, so that a device reports it under the assignment's sequence.

    Raises:
        StatementMalformed: No assignment.
        SignatureInvalid: Not by a pinned assignment key.
        WrongDevice: For another device.
        WrongTarget: For other hardware.
    """
    payload = _verified(assignment, dsse.ASSIGNMENT, pins.assignment_keys, 1)
    claimed = _statement(payload, Assignment, "assignment")
    _check_addressee(claimed, pins)
    return claimed, canonical.sha256(payload)


def confirm(release: Release, store: TrustStore) -> None:
    """Raise the floors that a confirmation raises: security floor, and age of the model's releases."""
    floor = store.floor()
    issued = max(floor.issued.get(release.name, 0), release.issued)
    store.raise_floor(
        msgspec.structs.replace(
            floor,
            security_floor=max(floor.security_floor, release.security_floor),
            issued={**floor.issued, release.name: issued},
        )
    )


def open_root(envelope: bytes) -> Root:
    """The trust root of an envelope, signed by the root key that it names itself; its hash is what vouches for it.

    Raises:
        StatementMalformed: No root, an unknown version or scheme, or a threshold it cannot meet.
        SignatureInvalid: Not signed by the key it names.
    """
    opened = canonical.decode(
        envelope, dsse.Envelope, what="trust root", limit=dsse.ENVELOPE_LIMIT, error=StatementMalformed
    )
    if opened.payload_type != dsse.ROOT:
        raise StatementMalformed(f"The statement is of type {opened.payload_type!r}", expected=repr(dsse.ROOT))
    root = _statement(dsse.unverified_payload(opened), Root, "trust root")
    _verified(envelope, dsse.ROOT, [root.root], 1)
    if not 1 <= root.threshold <= len(set(root.targets)):
        raise StatementMalformed(
            f"The trust root asks for {root.threshold} of {len(set(root.targets))} targets keys",
            expected="a threshold its keys can meet",
        )
    return root


def root_digest(envelope: bytes) -> str:
    """SHA-256 of the root's payload: what a claim token names.

    Raises:
        StatementMalformed: No envelope.
    """
    opened = canonical.decode(
        envelope, dsse.Envelope, what="trust root", limit=dsse.ENVELOPE_LIMIT, error=StatementMalformed
    )
    return canonical.sha256(dsse.unverified_payload(opened))


def open_release(envelope: bytes, root: Root) -> Release:
    """The release of a proof, signed as ``root`` demands.

    Raises:
        StatementMalformed: No release, or an unknown version.
        SignatureInvalid: Not enough of the root's targets keys signed it.
    """
    payload = _verified(envelope, dsse.RELEASE, root.targets, root.threshold)
    return _statement(payload, Release, "release statement")


def _check_addressee(assignment: Assignment, pins: Pins) -> None:
    if assignment.device != pins.device:
        raise WrongDevice(f"The assignment is for {assignment.device!r}", expected=repr(pins.device))
    if assignment.hardware != pins.hardware:
        raise WrongTarget(f"The assignment is for hardware {assignment.hardware!r}", expected=repr(pins.hardware))


def _check_sequence(assignment: Assignment, payload_sha256: str, floor: Floor) -> bool:
    """Whether this is the assignment accepted last, come again; an error if it is older or another of its number."""
    if assignment.sequence > floor.sequence:
        return False
    if assignment.sequence == floor.sequence and payload_sha256 == floor.assignment_sha256:
        return True
    raise AssignmentReplayed(
        f"The assignment has sequence {assignment.sequence}",
        expected=f"one above {floor.sequence}",
        remedy="An old message was replayed, or a restored server forgot what it had assigned.",
    )


def _proven_release(proof: bytes, root: Root) -> Release:
    if root.scheme != SCHEME:
        raise SchemeMismatch(f"This device is pinned to the trust scheme {root.scheme!r}", expected=repr(SCHEME))
    return open_release(proof, root)


def _assigned_bundle(release: Release, assignment: Assignment) -> ReleasedBundle:
    bundle = next((bundle for bundle in release.bundles if bundle.digest == assignment.digest), None)
    if bundle is None:
        raise StatementMalformed(
            f"The release {release.name} {release.version} does not list the assigned bundle {assignment.digest!r}",
            expected="a release statement that does",
        )
    if assignment.hardware not in bundle.hardware:
        raise WrongTarget(
            f"The assigned bundle is for {', '.join(bundle.hardware)}", expected=f"one for {assignment.hardware}"
        )
    return bundle


def _check_age(release: Release, digest: str, floor: Floor, store: TrustStore) -> None:
    if release.security_floor < floor.security_floor:
        raise SecurityFloorViolated(
            f"The release {release.name} {release.version} has security floor {release.security_floor}",
            expected=f"at least {floor.security_floor}, which this device has confirmed",
        )
    if release.issued < floor.issued.get(release.name, 0) and not store.has_confirmed(digest):
        raise DowngradeRefused(
            f"The release {release.name} {release.version} is older than one this device has confirmed",
            expected="a newer release, or one that this device ran before",
        )


def _verified(envelope: bytes, payload_type: str, trusted: list[str], threshold: int) -> bytes:
    return dsse.verify(envelope, payload_type, _by_id(trusted), threshold)


def _by_id(texts: list[str]) -> Mapping[str, keys.PublicKey]:
    public = [keys.public_from_text(text) for text in texts]
    return {keys.key_id(key): key for key in public}


def _statement(payload: bytes, kind: type[Kind], what: str) -> Kind:
    statement = canonical.decode(payload, kind, what=what, limit=STATEMENT_LIMIT, error=StatementMalformed)
    if statement.v != VERSION:
        raise StatementMalformed(f"The {what} has version {statement.v}", expected=str(VERSION))
    return statement
