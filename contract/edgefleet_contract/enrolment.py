"""Enrolment: the claim that an operator hands over, and the exchange that turns it into an identity; its renewal.

The token names the hashes of the fleet's certificate authority and of the trust root as the *operator's* machine
knows them, so that neither a man in the middle nor a hostile server can slip in its own. The claim of a batch names
them too; it is a certificate with a key, the same for all devices of the batch, that opens enrolment and nothing else.
"""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec

from edgefleet_contract import canonical
from edgefleet_contract.errors import StatementMalformed, TokenRefused
from edgefleet_contract.fingerprint import Fingerprint

VERSION = 1
ENROLMENT_LIMIT = 256 * 1024  # bytes
TOKEN_PREFIX = "eft1."  # noqa: S105 - a prefix that makes leaked tokens findable, no secret
AUTHORITY_PATH = "/device/v1/authority"
ENROLL_PATH = "/device/v1/enroll"
RENEW_PATH = "/device/v1/renew"
BLOB_PATH = "/device/v1/blobs/{sha256}"


class ClaimToken(msgspec.Struct, frozen=True):
    """What one device needs to enroll once.

    Attributes:
        id: Names the token; not secret.
        secret: 256 random bits, base64url. The server keeps only its hash.
        authority: SHA-256 of the DER certificate of the fleet's certificate authority.
        root: SHA-256 of the exact bytes of the trust root that the operator's machine has.
    """

    v: int
    id: str
    secret: str
    authority: str
    root: str


def encode_token(token: ClaimToken) -> str:
    """The token as one word to copy."""
    return TOKEN_PREFIX + base64.urlsafe_b64encode(canonical.encode(token)).decode().rstrip("=")


def decode_token(text: str) -> ClaimToken:
    """Parse a token.

    Raises:
        TokenRefused: It is none. The text is not repeated: it may be half a secret.
    """
    refused = TokenRefused(
        "The claim token cannot be read",
        expected=f"the whole word that `edgefleet device token` printed; it starts with {TOKEN_PREFIX}",
    )
    body = text.strip()
    if not body.startswith(TOKEN_PREFIX) or len(body) > 4096:
        raise refused
    body = body.removeprefix(TOKEN_PREFIX)
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        token = msgspec.json.decode(data, type=ClaimToken)
    except (binascii.Error, ValueError, msgspec.DecodeError) as cause:
        raise refused from cause
    if token.v != VERSION:
        raise refused
    return token


class BatchFile(msgspec.Struct, frozen=True):
    """``claim.json`` of a batch's folder, beside ``claim.pem`` and ``claim.key``.

    Attributes:
        batch: Its name.
        server: Where devices enroll.
        authority, root: As in :class:`ClaimToken`.
    """

    v: int
    batch: str
    server: str
    authority: str
    root: str


class BatchClaim(msgspec.Struct, frozen=True):
    """What the claim key of a batch signs (DSSE): one device's request to be taken in.

    Attributes:
        csr_sha256: Of the request's CSR, PEM; so that the claim is good for this key alone.
    """

    v: int
    batch: str
    csr_sha256: str


class KeyProof(msgspec.Struct, frozen=True):
    """What an identity key signs (DSSE) to vouch for a certificate signing request.

    Attributes:
        public_key: The identity key, as ``keys.public_text`` writes it.
        csr_sha256: Of the request's CSR, PEM.
        token_id: Of the claim token that it is used with; "" with a batch.
    """

    v: int
    public_key: str
    csr_sha256: str
    token_id: str


class EnrollRequest(msgspec.Struct, frozen=True):
    """Device to server, over HTTPS.

    Attributes:
        token_id, secret: Of the claim token; "" where a batch's claim stands in its place.
        csr: PEM certificate signing request over the key that the device has made; its subject is ignored.
        hardware: What the device says it is: the name of a target profile's hardware.
        runtimes: Inference runtimes present, with their versions.
        root: Of the claim token: the trust root that the device wants to be given; empty takes the newest.
        fingerprint: Of the hardware.
        claim: DSSE envelope of a :class:`BatchClaim`; "" with a token.
        proof: DSSE envelope of a :class:`KeyProof`: by the key that the device is known by, if it enrolls again, or
            else by an identity key that stays in hardware, where the CSR is for TLS alone. "" where the CSR's key
            becomes the identity.
        certificate: PEM, which the device has now, if it enrolls again: a server that came back from a backup may not
            know the key of the proof. "" from a new device.
    """

    v: int
    token_id: str
    secret: str
    csr: str
    hardware: str
    runtimes: dict[str, str]
    agent: str
    root: str = ""
    fingerprint: Fingerprint = Fingerprint()
    claim: str = ""
    proof: str = ""
    certificate: str = ""


class BrokerAddress(msgspec.Struct, frozen=True):
    """Where the broker listens for devices, with mutual TLS."""

    host: str
    port: int


class EnrollResponse(msgspec.Struct, frozen=True):
    """Server to device.

    Attributes:
        device: The id given.
        certificate: PEM, for the CSR's key, by the fleet's certificate authority; subject common name = device id.
        authority: PEM of the certificate authority.
        root: The trust root that the token names, base64 of its exact bytes; it names whose assignments to obey.
    """

    v: int
    device: str
    certificate: str
    authority: str
    root: str
    broker: BrokerAddress


class RenewalRequest(msgspec.Struct, frozen=True):
    """Device to server: what the device's identity key signs (DSSE) to get its next certificate.

    Attributes:
        csr: PEM, over a new key, or over the present one.
        at: UTC milliseconds of the device's clock; for the log alone.
        nonce: Random, so that no two requests are alike.
    """

    v: int
    device: str
    csr: str
    at: int
    nonce: str


class RenewalResponse(msgspec.Struct, frozen=True):
    """Server to device: the next certificate, PEM."""

    v: int
    device: str
    certificate: str


EnrolmentMessage = TypeVar(
    "EnrolmentMessage", EnrollRequest, EnrollResponse, RenewalRequest, RenewalResponse, BatchClaim, KeyProof, BatchFile
)


def decode(body: bytes, kind: type[EnrolmentMessage]) -> EnrolmentMessage:
    """Parse a message or statement of this module.

    Raises:
        StatementMalformed: It is none of this kind, or of an unknown version.
    """
    message = canonical.decode(
        body, kind, what=f"enrolment message {kind.__name__}", limit=ENROLMENT_LIMIT, error=StatementMalformed
    )
    if message.v != VERSION:
        raise StatementMalformed(f"The enrolment message has version {message.v}", expected=str(VERSION))
    return message


def decode_request(body: bytes) -> EnrollRequest:
    """Parse a request; raises as :func:`decode`."""
    return decode(body, EnrollRequest)


def decode_response(body: bytes) -> EnrollResponse:
    """Parse a response; raises as :func:`decode`."""
    return decode(body, EnrollResponse)
