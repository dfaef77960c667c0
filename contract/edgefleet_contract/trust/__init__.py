"""Trust: what a device believes, why, and what it never forgets. See ``accept``, ``floors`` and ``repository``."""

from edgefleet_contract.trust.accept import accept, addressed, confirm, refresh
from edgefleet_contract.trust.floors import Floor, KeySet, Speakers
from edgefleet_contract.trust.proofs import Proof, decode_proof, encode_proof
from edgefleet_contract.trust.statements import (
    SCHEME,
    VERSION,
    Accepted,
    Assignment,
    FileReference,
    Permit,
    Pins,
    Release,
    ReleasedBundle,
    Scheme,
    TrustStore,
    root_digest,
)

__all__ = [
    "SCHEME",
    "VERSION",
    "Accepted",
    "Assignment",
    "FileReference",
    "Floor",
    "KeySet",
    "Permit",
    "Pins",
    "Proof",
    "Release",
    "ReleasedBundle",
    "Scheme",
    "Speakers",
    "TrustStore",
    "accept",
    "addressed",
    "confirm",
    "decode_proof",
    "encode_proof",
    "refresh",
    "root_digest",
]
