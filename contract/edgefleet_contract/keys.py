"""Signing keys: Ed25519 for statements, ECDSA P-256 for device identities (the curve that secure elements have).

A public key travels as the base64 of its DER SubjectPublicKeyInfo (RFC 5280), which names its own algorithm;
its key id is the SHA-256 of that DER. No file is read or written here.
"""

from __future__ import annotations

import base64
import binascii
from typing import Protocol, runtime_checkable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edgefleet_contract.canonical import sha256
from edgefleet_contract.errors import StatementMalformed

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey


@runtime_checkable
class KeyHolder(Protocol):
    """Whatever can sign with a P-256 key that it need not give away, such as a secure element."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""

    def sign_message(self, message: bytes) -> bytes:
        """ECDSA with SHA-256 over ``message``, as a DER signature."""


Signer = PrivateKey | KeyHolder


def generate() -> ed25519.Ed25519PrivateKey:
    """A fresh Ed25519 key (RFC 8032)."""
    return ed25519.Ed25519PrivateKey.generate()


def generate_device_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key for a device's certificate and reports."""
    return ec.generate_private_key(ec.SECP256R1())


def to_pem(key: PrivateKey) -> bytes:
    """The private key as unencrypted PKCS #8 PEM. The caller writes it with mode 0600."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def from_pem(data: bytes) -> PrivateKey:
    """The private key of a PKCS #8 PEM.

    Raises:
        StatementMalformed: It is no key, or of another algorithm.
    """
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as cause:
        raise StatementMalformed("The key file holds no readable private key", expected="a PKCS #8 PEM") from cause
    if isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        return key
    raise StatementMalformed(f"The key is a {type(key).__name__}", expected="an Ed25519 or ECDSA P-256 key")


def device_key_from_pem(data: bytes) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of a PKCS #8 PEM.

    Raises:
        StatementMalformed: It is no key, or of another algorithm or curve.
    """
    key = from_pem(data)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise StatementMalformed("The key file holds a key of another kind", expected="a key on P-256")


def public_text(key: PublicKey) -> str:
    """The public key as base64 of its DER SubjectPublicKeyInfo."""
    return base64.b64encode(_spki(key)).decode()


def public_from_text(text: str) -> PublicKey:
    """The public key that :func:`public_text` wrote.

    Raises:
        StatementMalformed: It is no key, or of another algorithm or curve.
    """
    try:
        key = serialization.load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as cause:
        raise StatementMalformed("A public key does not decode", expected="base64 of a DER public key") from cause
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise StatementMalformed(f"A public key is a {type(key).__name__}", expected="Ed25519, or ECDSA on P-256")


def recipient_from_text(text: str) -> ec.EllipticCurvePublicKey:
    """The P-256 key, to which something is sealed, that :func:`public_text` wrote.

    Raises:
        StatementMalformed: It is no key, or of another algorithm or curve.
    """
    key = public_from_text(text)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key
    raise StatementMalformed("A recipient's key is an Ed25519 key", expected="one on P-256, for Ed25519 only signs")


def key_id(key: PublicKey) -> str:
    """SHA-256 of the key's DER SubjectPublicKeyInfo, in hexadecimal."""
    return sha256(_spki(key))


def sign(key: Signer, message: bytes) -> bytes:
    """Sign ``message``: Ed25519, or ECDSA with SHA-256 (DER signature)."""
    if isinstance(key, KeyHolder):
        return key.sign_message(message)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def verifies(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether ``signature`` over ``message`` is by ``key``."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _spki(key: PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
