"""Enrolment: a claim token becomes an identity. The key is made here and never leaves.

The order matters twice. The authority that the server names is believed only if its hash is the token's, and only
then does the token's secret leave the device. Key and request are durable before the request is sent, and the
identity card is written last: whatever happens in between, the same command finishes the work.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import ssl
import urllib.parse
from dataclasses import dataclass

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from edgefleet_agent import agent_version, identity, trust_store
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_contract import canonical, keys, trust
from edgefleet_contract.enrolment import (
    AUTHORITY_PATH,
    ENROLL_PATH,
    ENROLMENT_LIMIT,
    VERSION,
    ClaimToken,
    EnrollRequest,
    EnrollResponse,
    decode_response,
)
from edgefleet_contract.errors import (
    Conflict,
    IdentityMismatch,
    ServerUnreachable,
    StatementMalformed,
    TokenRefused,
    UsageMalformed,
    revive,
)
from edgefleet_contract.trust.repository import read_root

_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Server:
    """The device listener of a fleet server.

    Attributes:
        url: As the user gave it.
        host, port: Taken from it.
    """

    url: str
    host: str
    port: int


def parse_server(url: str) -> Server:
    """The server of an ``https://HOST:PORT`` URL.

    Raises:
        UsageMalformed: It is none.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = None, None, None
    if parts is None or parts.scheme != "https" or not host or parts.path not in ("", "/"):
        raise UsageMalformed(
            f"The server is {url!r}",
            expected="the https:// URL of its device listener, such as https://fleet.example.org:8443",
        )
    return Server(url, host, port or 443)


def enroll(
    folder: DataFolder, disk: Disk, *, server: Server, token: ClaimToken, hardware: str, runtimes: dict[str, str]
) -> identity.Card:
    """Turn a claim token into an identity in ``folder``.

    Raises:
        Conflict: The folder holds an identity already.
        ServerUnreachable: No server answers, or its TLS does not stand.
        IdentityMismatch: It answers with an authority, root or certificate that is not the fleet's or not ours.
        TokenRefused: The token is unknown, used or expired.
    """
    if identity.card_path(folder).is_file():
        device = identity.Identity(folder).card.device
        raise Conflict(
            f"The data folder {str(folder.root)!r} is enrolled already, as {device!r}",
            remedy="Use another folder, or remove this one if the device was retired.",
        )
    authority = _fetch_authority(server, token)
    is_first_try = not folder.identity.exists()
    key, csr = _key_and_request(folder, disk)
    request = EnrollRequest(
        VERSION, token.id, token.secret, csr.decode(), hardware, runtimes, agent_version(), token.root
    )
    try:
        response = _ask(server, request, authority)
    except TokenRefused:
        if is_first_try:  # an earlier try's key may still get its lost response, with the token of that time
            disk.remove(folder.identity)
        raise
    root = _check_response(response, token, authority, key.public_key())
    disk.make_folder(folder.trust)
    pins = trust.Pins(response.device, hardware, trust.SCHEME, root)
    trust_store.save_pins(disk, folder, pins)
    disk.write(identity.certificate_path(folder), response.certificate.encode())
    disk.write(identity.authority_path(folder), authority)
    card = identity.Card(identity.VERSION, response.device, hardware, server.url, response.broker)
    identity.save_card(disk, folder, card)
    return card


def _key_and_request(folder: DataFolder, disk: Disk) -> tuple[keys.PrivateKey, bytes]:
    """The device's key and signing request, as an interrupted enrolment left them, or new."""
    key_file, request_file = identity.key_path(folder), identity.request_path(folder)
    if key_file.is_file() and request_file.is_file():
        return keys.from_pem(key_file.read_bytes()), request_file.read_bytes()
    key = keys.generate_device_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edgefleet device")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    encoded = request.public_bytes(Encoding.PEM)
    disk.make_folder(folder.identity)
    disk.write(key_file, keys.to_pem(key))
    disk.write(request_file, encoded)
    return key, encoded


def _fetch_authority(server: Server, token: ClaimToken) -> bytes:
    """The fleet's authority, PEM: fetched from whomever answers, believed for its hash alone."""
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    pem = _exchange(server, unverified, "GET", AUTHORITY_PATH, None)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as cause:
        raise StatementMalformed(
            f"{server.url!r} sent no certificate", expected="the fleet's authority, PEM"
        ) from cause
    if canonical.sha256(certificate.public_bytes(Encoding.DER)) != token.authority:
        raise IdentityMismatch(
            f"The certificate authority of {server.url!r} is not the one that the claim token names",
            remedy="Check the server's address; if it is right, somebody stands in between, or the token is of"
            " another fleet.",
        )
    return certificate.public_bytes(Encoding.PEM)


def _ask(server: Server, request: EnrollRequest, authority: bytes) -> EnrollResponse:
    verified = ssl.create_default_context(cadata=authority.decode())
    return decode_response(_exchange(server, verified, "POST", ENROLL_PATH, canonical.encode(request)))


def _check_response(response: EnrollResponse, token: ClaimToken, authority: bytes, public_key: keys.PublicKey) -> bytes:
    """The trust root's bytes, if root and certificate are what they must be."""
    try:
        root = base64.b64decode(response.root, validate=True)
        certificate = x509.load_pem_x509_certificate(response.certificate.encode())
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (binascii.Error, ValueError, TypeError, InvalidSignature) as cause:
        raise IdentityMismatch(
            "The server's answer holds no certificate by the fleet's authority", expected="one for this device's key"
        ) from cause
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if certificate.public_key() != public_key or [name.value for name in names] != [response.device]:
        raise IdentityMismatch(
            "The certificate that the server sent is for another key or name", expected=f"{response.device!r}, our key"
        )
    if trust.root_digest(root) != token.root:
        raise IdentityMismatch(
            "The trust root that the server sent is not the one that the claim token names",
            remedy="Make the token on a machine that has the fleet's trust root.",
        )
    read_root(root)  # the token may name what is no root
    return root


def _exchange(server: Server, context: ssl.SSLContext, method: str, path: str, body: bytes | None) -> bytes:
    """One HTTPS request.

    Raises:
        ServerUnreachable: No answer, or no TLS.
        EdgefleetError: What the server says is wrong, in its own class.
    """
    connection = http.client.HTTPSConnection(server.host, server.port, timeout=_TIMEOUT_S, context=context)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        data = response.read(ENROLMENT_LIMIT + 1)
    except ssl.SSLError as cause:
        no_tls = "WRONG_VERSION_NUMBER" in str(cause) or "HTTP_REQUEST" in str(cause)
        raise ServerUnreachable(
            f"The fleet server {server.url!r} " + ("does not speak TLS" if no_tls else f"has no sound TLS: {cause}"),
            expected="the device listener, https",
            remedy="This may be the port of the console; use that of the device listener." if no_tls else "",
        ) from cause
    except (OSError, http.client.HTTPException) as cause:
        raise ServerUnreachable(
            f"The fleet server {server.url!r} does not answer: {cause}",
            remedy="Check its address and that it runs: `edgefleet server run`.",
        ) from cause
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise _refusal(server, response.status, data)
    return data


class _ErrorBody(msgspec.Struct):
    error: dict[str, object]


def _refusal(server: Server, status: int, body: bytes) -> Exception:
    try:
        return revive(msgspec.json.decode(body, type=_ErrorBody).error)
    except msgspec.DecodeError:
        return ServerUnreachable(
            f"{server.url!r} answers with HTTP status {status}",
            expected="a fleet server's device listener",
        )
