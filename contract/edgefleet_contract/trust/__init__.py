"""Trust: what a device believes, why, and what it never forgets. See ``acceptance``, ``floors`` and ``repository``."""

from edgefleet_contract.trust.acceptance import accept, addressed, confirm, refresh, remember
from edgefleet_contract.trust.floors import NO_FLOOR, Floor, KeySet, Speakers, highest
from edgefleet_contract.trust.proofs import Proof, decode_proof, encode_proof
from edgefleet_contract.trust.statements import (
    SCHEME,
    VERSION,
    Accepted,
    Assignment,
    FileReference,
    Mark,
    Permit,
    Pins,
    Purpose,
    Release,
    ReleasedBundle,
    Scheme,
    Time,
    TrustStore,
    root_digest,
)

__all__ = [
    "NO_FLOOR",
    "SCHEME",
    "VERSION",
    "Accepted",
    "Assignment",
    "FileReference",
    "Floor",
    "KeySet",
    "Mark",
    "Permit",
    "Pins",
    "Proof",
    "Purpose",
    "Release",
    "ReleasedBundle",
    "Scheme",
    "Speakers",
    "Time",
    "TrustStore",
    "accept",
    "addressed",
    "confirm",
    "decode_proof",
    "encode_proof",
    "highest",
    "refresh",
    "remember",
    "root_digest",
]
