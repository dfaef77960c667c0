"""Enrolment: a claim becomes an identity. The key is made here, or in the device's hardware, and never leaves.

The order matters twice. The authority that the server names is believed only if its hash is the claim's, and only
then does the token's secret leave the device. Key and request are durable before the request is sent, and the
identity card is written last: whatever happens in between, the same command finishes the work.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from dataclasses import dataclass

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edgefleet_agent import agent_version, certificate, identity, renewal, trust_store
from edgefleet_agent.claims import Claim
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.listener import Server, exchange, trusting
from edgefleet_agent.signers import FILE, Signer, open_signer
from edgefleet_contract import canonical, dsse, keys, trust
from edgefleet_contract.enrolment import (
    AUTHORITY_PATH,
    ENROLL_PATH,
    VERSION,
    EnrollRequest,
    EnrollResponse,
    KeyProof,
    decode_response,
)
from edgefleet_contract.errors import BatchRefused, Conflict, IdentityMismatch, StatementMalformed, TokenRefused
from edgefleet_contract.fingerprint import Fingerprint
from edgefleet_contract.trust.repository import read_root


@dataclass(frozen=True)
class Machine:
    """What this machine says of itself.

    Attributes:
        hardware: The name of a target profile's hardware.
        runtimes: Inference runtimes present, with their versions.
        fingerprint: What it is known by.
    """

    hardware: str
    runtimes: dict[str, str]
    fingerprint: Fingerprint


def enroll(
    folder: DataFolder, disk: Disk, *, server: Server, claim: Claim, machine: Machine, key: str = FILE
) -> identity.Card:
    """Turn a claim into an identity in ``folder``.

    Args:
        folder: Of a device that has not enrolled yet.
        disk: The door.
        server: The device listener.
        claim: What entitles the machine.
        machine: What it says of itself.
        key: Where the identity key is to live, as ``signers.open_signer`` takes it.

    Raises:
        Conflict: The folder holds an identity already.
        ServerUnreachable: No server answers, or its TLS does not stand.
        IdentityMismatch: It answers with an authority, root or certificate that is not the fleet's or not ours.
        TokenRefused, BatchRefused: The claim is unknown, used or expired.
    """
    if identity.card_path(folder).is_file():
        device = identity.Identity(folder).card.device
        raise Conflict(
            f"The data folder {str(folder.root)!r} is enrolled already, as {device!r}",
            remedy="Use another folder, or remove this one if the device was retired. Where it came too late to renew "
            "its certificate: `edgefleet-agent enroll --again`.",
        )
    authority = _fetch_authority(server, claim)
    held = _key_in_hardware(folder, key)
    is_first_try = not folder.identity.exists()
    tls_key, csr = certificate.request_for_next(disk, folder, identity.FIRST)
    try:
        response = _ask(server, _request(claim, machine, csr, held), authority)
    except (TokenRefused, BatchRefused):
        if is_first_try:  # an earlier try's key may still get its lost response, with the claim of that time
            disk.remove(folder.identity)
        raise
    root = _check_response(response, claim, authority, tls_key.public_key())
    disk.make_folder(folder.trust)
    pins = trust.Pins(response.device, machine.hardware, trust.SCHEME, root)
    trust_store.save_pins(disk, folder, pins)
    disk.write(identity.certificate_path(folder), response.certificate.encode())
    disk.write(identity.authority_path(folder), authority)
    renew_at = certificate.renewal_time(response.certificate)
    card = identity.Card(
        identity.VERSION, response.device, machine.hardware, server.url, response.broker, renew_at, key=key
    )
    identity.save_card(disk, folder, card)
    return card


def enroll_again(folder: DataFolder, disk: Disk, *, claim: Claim, machine: Machine) -> identity.Card:
    """A fresh certificate for a device that could not renew its own, with a token that the operator made for it.

    The device stays what it is: its id, what it trusts, its floors, models and telemetry. Its present key proves that
    it is the one; the next key takes its place as in a renewal.

    Raises:
        NotEnrolled: The folder holds no identity.
        IdentityMismatch: The token is of another fleet, or for another device.
        ServerUnreachable, TokenRefused: As :func:`enroll`.
    """
    mine = identity.Identity(folder)
    authority = mine.authority_file.read_bytes()
    if _digest(authority) != claim.authority:
        raise IdentityMismatch(
            "The claim token is of another fleet than this device",
            remedy="Make it with `edgefleet device token --device " + mine.card.device + "`.",
        )
    server = renewal.server_of(mine)
    next_key, csr = certificate.request_for_next(disk, folder, mine.card.generation + 1)
    request = msgspec.structs.replace(
        _request(claim, machine, csr, mine.signer), certificate=mine.certificate_file.read_text()
    )
    response = _ask(server, request, authority)
    certificate.check(response.certificate, mine.card.device, next_key.public_key(), authority)
    return renewal.adopt(folder, disk, mine.card, response.certificate)


def _request(claim: Claim, machine: Machine, csr: bytes, prover: Signer | None) -> EnrollRequest:
    """The request; ``prover`` vouches for it with the key by which the device is known, or is to be known."""
    proof = ""
    if prover is not None:
        statement = KeyProof(VERSION, keys.public_text(prover.public_key()), canonical.sha256(csr), claim.token_id)
        proof = dsse.sign(canonical.encode(statement), dsse.KEY_PROOF, [prover]).decode()
    return EnrollRequest(
        VERSION,
        claim.token_id,
        claim.secret,
        csr.decode(),
        machine.hardware,
        machine.runtimes,
        agent_version(),
        claim.root,
        machine.fingerprint,
        claim.vouch(csr),
        proof,
    )


def _key_in_hardware(folder: DataFolder, place: str) -> Signer | None:
    """The identity key that stays in hardware, made there where it is missing; None where it is to be a file."""
    if place == FILE:
        return None
    from edgefleet_agent.signers.pkcs11 import Pkcs11Signer  # noqa: PLC0415 - needs a library that few devices have

    Pkcs11Signer(place).make()
    return open_signer(place, identity.key_path(folder))


def _fetch_authority(server: Server, claim: Claim) -> bytes:
    """The fleet's authority, PEM: fetched from whomever answers, believed for its hash alone."""
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    pem = exchange(server, unverified, "GET", AUTHORITY_PATH, None)
    try:
        digest = _digest(pem)
    except ValueError as cause:
        raise StatementMalformed(
            f"{server.url!r} sent no certificate", expected="the fleet's authority, PEM"
        ) from cause
    if digest != claim.authority:
        raise IdentityMismatch(
            f"The certificate authority of {server.url!r} is not the one that the claim names",
            remedy="Check the server's address; if it is right, somebody stands in between, or the claim is of"
            " another fleet.",
        )
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.PEM)


def _digest(pem: bytes) -> str:
    """SHA-256 of the DER of a certificate: what claims name."""
    return canonical.sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))


def _ask(server: Server, request: EnrollRequest, authority: bytes) -> EnrollResponse:
    return decode_response(exchange(server, trusting(authority), "POST", ENROLL_PATH, canonical.encode(request)))


def _check_response(response: EnrollResponse, claim: Claim, authority: bytes, public_key: keys.PublicKey) -> bytes:
    """The trust root's bytes, if root and certificate are what they must be."""
    certificate.check(response.certificate, response.device, public_key, authority)
    try:
        root = base64.b64decode(response.root, validate=True)
    except binascii.Error as cause:
        raise IdentityMismatch(
            "The server's answer holds no trust root", expected="one that the claim names"
        ) from cause
    if trust.root_digest(root) != claim.root:
        raise IdentityMismatch(
            "The trust root that the server sent is not the one that the claim names",
            remedy="Make the claim on a machine that has the fleet's trust root.",
        )
    read_root(root)  # the token may name what is no root
    return root
