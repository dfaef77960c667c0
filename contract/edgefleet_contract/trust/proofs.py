"""The proof that comes with an assignment: all TUF metadata that a device needs, in one message."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from edgefleet_contract import canonical
from edgefleet_contract.errors import MetadataMalformed, SchemeMismatch, StatementMalformed
from edgefleet_contract.trust.statements import SCHEME

PROOF_LIMIT = 248 * 1024  # bytes; with its assignment it has to fit into a message
ROOTS_LIMIT = 64  # a root a year and a dozen emergencies, for the life of any device
_FILES_LIMIT = ROOTS_LIMIT + 8
_ROOT_NAME = re.compile(r"([1-9]\d{0,8})\.root\.json")
_NULL = msgspec.Raw(b"null")


class Proof(msgspec.Struct, frozen=True):
    """What the scheme ``tuf/1`` needs to believe in a bundle, or that there is nothing new.

    Attributes:
        scheme: Compared with the pinned one, never obeyed.
        metadata: By file name, exact bytes: every root from version 2 on, ``timestamp.json``, the snapshot, targets,
            and the role of the model.
        path: The assigned bundle in the repository; None when nothing is assigned.
        permit: DSSE envelope of a ``Permit``, or null.
    """

    scheme: str
    metadata: dict[str, msgspec.Raw]
    path: str | None = None
    permit: msgspec.Raw = _NULL

    @property
    def has_permit(self) -> bool:
        """Whether a permit came along."""
        return bytes(self.permit) != b"null"


def encode_proof(metadata: Mapping[str, bytes], path: str | None = None, permit: bytes | None = None) -> bytes:
    """The proof as it stands in a desired twin."""
    raw = {name: msgspec.Raw(data) for name, data in metadata.items()}
    return canonical.encode(Proof(SCHEME, raw, path, _NULL if permit is None else msgspec.Raw(permit)))


def decode_proof(data: bytes, pinned: str = SCHEME) -> Proof:
    """Parse a proof; nothing in it is verified.

    Args:
        data: As it came.
        pinned: The scheme it has to be of.

    Raises:
        StatementMalformed: It is none, or too long.
        SchemeMismatch: It is of another scheme.
        MetadataMalformed: It has too many files.
    """
    proof = canonical.decode(data, Proof, what="proof", limit=PROOF_LIMIT, error=StatementMalformed)
    if proof.scheme != pinned or pinned != SCHEME:
        raise SchemeMismatch(f"The proof is of the trust scheme {proof.scheme!r}", expected=repr(pinned))
    if len(proof.metadata) > _FILES_LIMIT:
        raise MetadataMalformed(f"The proof has {len(proof.metadata)} files", expected=f"at most {_FILES_LIMIT}")
    return proof


def roots_of(proof: Proof) -> dict[int, bytes]:
    """The roots of a proof by version, the oldest first.

    Raises:
        MetadataMalformed: There are too many, or one is missing between others.
    """
    found = {
        int(match[1]): bytes(data) for name, data in proof.metadata.items() if (match := _ROOT_NAME.fullmatch(name))
    }
    versions = sorted(found)
    if len(versions) > ROOTS_LIMIT:
        raise MetadataMalformed(f"The proof has {len(versions)} roots", expected=f"at most {ROOTS_LIMIT}")
    if versions and versions != list(range(versions[0], versions[-1] + 1)):
        raise MetadataMalformed(f"The proof has the roots {versions}", expected="every root, one after the other")
    return {version: found[version] for version in versions}


def newest_root(pinned: bytes, proof: Proof | None) -> bytes:
    """The newest root of a proof that was accepted; the pinned one if it has none."""
    roots = roots_of(proof) if proof is not None else {}
    return roots[max(roots)] if roots else pinned
