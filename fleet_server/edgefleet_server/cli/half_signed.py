"""Files that go from one key holder to the next: new metadata, or a permit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuf.api.metadata import Root, Targets

from edgefleet_contract import canonical, dsse
from edgefleet_contract import trust as statements
from edgefleet_contract.errors import Conflict, InputError, StatementMalformed
from edgefleet_server.cli import trust
from edgefleet_server.publisher import draft as drafting
from edgefleet_server.publisher.draft import Draft
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.trust import released


@dataclass(frozen=True)
class Signed:
    """What came of signing a file.

    Attributes:
        about: What it is for.
        says: What was signed, line by line.
        added: How many signatures.
        missing, wanting: What it still lacks, for programs and for people.
    """

    about: str
    says: list[str]
    added: int
    missing: list[dict[str, Any]]
    wanting: str


def sign(publisher: Publisher, path: Path) -> Signed:
    """Add this machine's signatures to a file.

    Raises:
        InputError: The file cannot be read, or none of its keys are here.
        VerificationError: It is no such file.
    """
    content = _content(path)
    if b'"payloadType"' in content:
        return _sign_permit(publisher, path, content)
    draft = read(publisher, path)
    added = publisher.sign(draft)
    if not added:
        raise _none_here(path, trust.wanting(draft))
    publisher.joined(draft)
    trust.write_file(path, draft.encode())
    return Signed(draft.about, list(_says(draft)), added, trust.told_of(draft), trust.wanting(draft))


def read(publisher: Publisher, path: Path) -> Draft:
    """The draft of a file; of this machine's fleet, where it knows one.

    Raises:
        InputError: The file cannot be read.
        VerificationError: It is none, or what it builds on does not hold.
        Conflict: It is of another fleet.
    """
    draft = drafting.decode(_content(path))
    own = publisher.repository()
    if own.roots and draft.base.roots[:1] != own.roots[:1]:
        raise Conflict(f"The file {str(path)!r} is of another fleet than this machine's metadata")
    return draft


def _sign_permit(publisher: Publisher, path: Path, content: bytes) -> Signed:
    envelope = canonical.decode(
        content, dsse.Envelope, what="half-signed permit", limit=dsse.ENVELOPE_LIMIT, error=StatementMalformed
    )
    payload = dsse.unverified_payload(envelope)
    permit = canonical.decode(payload, statements.Permit, what="permit", limit=len(payload), error=StatementMalformed)
    repository = publisher.repository()
    if not repository.roots:
        raise InputError(
            "This machine has no metadata of the fleet yet, and cannot tell which keys sign permits",
            remedy="Fetch them from the server: `edgefleet key renew`, which changes nothing before its time.",
        )
    signed = publisher.countersign(repository, envelope.payload_type, payload, envelope.signatures)
    now = canonical.decode(signed, dsse.Envelope, what="permit", limit=dsse.ENVELOPE_LIMIT)
    added = len(now.signatures) - len(envelope.signatures)
    if not added:
        raise _none_here(path, "the targets keys")
    trust.write_file(path, signed)
    says = [f"permit: {', '.join(permit.devices)} may go back to the bundle {permit.digest}"]
    lacking = repository.root.roles["targets"].threshold - len(now.signatures)
    missing = [{"role": "targets", "count": lacking, "keys": []}] if lacking > 0 else []
    return Signed("permit", says, added, missing, f"{lacking} of the targets keys")


def _says(draft: Draft) -> Iterator[str]:
    """What the new metadata say that the old ones did not."""
    for name, metadata in draft.new.items():
        signed = metadata.signed
        yield f"{name}: until {signed.expires:%Y-%m-%d}"
        if isinstance(signed, Root):
            for role, said in signed.roles.items():
                yield f"  {role}: {said.threshold} of {', '.join(map(draft.label, said.keyids))}"
        elif isinstance(signed, Targets):
            role = name.split(".", 1)[1].removesuffix(".json")
            before = draft.base.model(role) if role != "targets" else None
            known = set(before.targets) if before else set()
            for label in sorted(set(released.labels(before)) - set(released.labels(signed))):
                yield f"  withdraws {label}"
            if before is not None and before.targets == signed.targets:
                yield f"  signs again {', '.join(released.labels(signed))}"
            for release, bundle in released.releases(signed):
                if f"{release.name}/{release.version}/{bundle.target}.efb" not in known:
                    yield f"  releases {release.name} {release.version} for {bundle.target}: bundle {bundle.digest}"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise InputError(f"The file {str(path)!r} cannot be read: {cause.strerror}") from cause


def _none_here(path: Path, wanting: str) -> InputError:
    return InputError(
        f"No key on this machine can add a signature to {str(path)!r}", expected=wanting or "a file that lacks some"
    )
