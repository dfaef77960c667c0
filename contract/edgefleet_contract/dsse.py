"""Signed statements: DSSE envelopes over exact bytes.

Source: Dead Simple Signing Envelope, https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md, v1.0).
What is verified is what is returned, and nothing is parsed before it is verified.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence

import msgspec

from edgefleet_contract import canonical, keys
from edgefleet_contract.errors import SignatureInvalid, StatementMalformed

ENVELOPE_LIMIT = 256 * 1024  # bytes
_SIGNATURES_LIMIT = 16

PERMIT = "application/vnd.edgefleet.permit+json"
ASSIGNMENT = "application/vnd.edgefleet.assignment+json"
REPORTED = "application/vnd.edgefleet.reported+json"
RENEWAL = "application/vnd.edgefleet.renewal+json"
KEY_PROOF = "application/vnd.edgefleet.key-proof+json"
BATCH_CLAIM = "application/vnd.edgefleet.batch-claim+json"
ACK = "application/vnd.edgefleet.ack+json"
TIME = "application/vnd.edgefleet.time+json"


class Signature(msgspec.Struct, frozen=True):
    """One signature: the key's id, and base64 of the signature over the pre-authentication encoding."""

    keyid: str
    sig: str


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """The JSON form of DSSE: ``payloadType``, ``payload`` (base64) and ``signatures``."""

    payload_type: str
    payload: str
    signatures: list[Signature]


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """PAE of DSSE v1: the bytes that are signed, so that type and payload cannot be confused."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, payload_type: str, signers: Sequence[keys.Signer]) -> bytes:
    """An envelope around ``payload``, signed by every key of ``signers``, as canonical JSON."""
    message = pre_authentication_encoding(payload_type, payload)
    signatures = [
        Signature(keys.key_id(key.public_key()), base64.b64encode(keys.sign(key, message)).decode()) for key in signers
    ]
    return canonical.encode(Envelope(payload_type, base64.b64encode(payload).decode(), signatures))


def verify(envelope: bytes, payload_type: str, trusted: Mapping[str, keys.PublicKey], threshold: int = 1) -> bytes:
    """The payload, if at least ``threshold`` distinct keys of ``trusted`` signed it under ``payload_type``.

    Args:
        envelope: JSON of an :class:`Envelope`, at most :data:`ENVELOPE_LIMIT` bytes.
        payload_type: The type expected; another one is refused before any signature is tried.
        trusted: Public keys by key id.
        threshold: How many different keys must have signed; at least 1.

    Raises:
        StatementMalformed: No envelope, or one of another type.
        SignatureInvalid: Too few valid signatures by trusted keys.
    """
    if threshold < 1:
        raise ValueError("a threshold below 1 would trust everybody")
    opened = canonical.decode(
        envelope, Envelope, what="signed envelope", limit=ENVELOPE_LIMIT, error=StatementMalformed
    )
    if opened.payload_type != payload_type:
        raise StatementMalformed(f"The statement is of type {opened.payload_type!r}", expected=repr(payload_type))
    if len(opened.signatures) > _SIGNATURES_LIMIT:
        raise StatementMalformed(
            f"The statement has {len(opened.signatures)} signatures", expected=f"at most {_SIGNATURES_LIMIT}"
        )
    payload = _base64(opened.payload)
    message = pre_authentication_encoding(payload_type, payload)
    signed_by = {
        signature.keyid
        for signature in opened.signatures
        if signature.keyid in trusted and keys.verifies(trusted[signature.keyid], _base64(signature.sig), message)
    }
    if len(signed_by) < threshold:
        raise SignatureInvalid(
            f"{len(signed_by)} of the statement's {len(opened.signatures)} signatures are by trusted keys and valid",
            expected=f"at least {threshold}",
            remedy="Use what the holder of the pinned keys signed.",
        )
    return payload


def unverified_payload(envelope: Envelope) -> bytes:
    """The payload as it stands, signed by whomever; for what is vouched for by its hash."""
    return _base64(envelope.payload)


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise StatementMalformed("The envelope holds what is not base64") from cause
