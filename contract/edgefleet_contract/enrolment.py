"""Enrolment: the claim token that an operator hands over, and the exchange that turns it into an identity.

The token names the hashes of the fleet's certificate authority and of the trust root as the *operator's* machine
knows them, so that neither a man in the middle nor a hostile server can slip in its own.
"""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec

from edgefleet_contract import canonical
from edgefleet_contract.errors import StatementMalformed, TokenRefused

VERSION = 1
ENROLMENT_LIMIT = 256 * 1024  # bytes
TOKEN_PREFIX = "eft1."  # noqa: S105 - a prefix that makes leaked tokens findable, no secret
AUTHORITY_PATH = "/device/v1/authority"
ENROLL_PATH = "/device/v1/enroll"
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


class EnrollRequest(msgspec.Struct, frozen=True):
    """Device to server, over HTTPS.

    Attributes:
        token_id, secret: Of the claim token.
        csr: PEM certificate signing request over the key that the device has made; its subject is ignored.
        hardware: What the device says it is: the name of a target profile's hardware.
        runtimes: Inference runtimes present, with their versions.
        root: Of the claim token: the trust root that the device wants to be given; empty takes the newest.
    """

    v: int
    token_id: str
    secret: str
    csr: str
    hardware: str
    runtimes: dict[str, str]
    agent: str
    root: str = ""


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


EnrolmentMessage = TypeVar("EnrolmentMessage", EnrollRequest, EnrollResponse)


def decode_request(body: bytes) -> EnrollRequest:
    """Parse a request.

    Raises:
        StatementMalformed: It is none, or of an unknown version.
    """
    return _checked(
        canonical.decode(body, EnrollRequest, what="enrolment request", limit=ENROLMENT_LIMIT, error=StatementMalformed)
    )


def decode_response(body: bytes) -> EnrollResponse:
    """Parse a response; raises as :func:`decode_request`."""
    return _checked(
        canonical.decode(
            body, EnrollResponse, what="enrolment response", limit=ENROLMENT_LIMIT, error=StatementMalformed
        )
    )


def _checked(message: EnrolmentMessage) -> EnrolmentMessage:
    if message.v != VERSION:
        raise StatementMalformed(f"The enrolment message has version {message.v}", expected=str(VERSION))
    return message
