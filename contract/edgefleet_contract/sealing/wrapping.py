"""Keys wrapped to a P-256 public key: only the holder of the private key opens them.

HPKE in base mode, single-shot (RFC 9180, sections 4 to 6): DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, which
is as strong as the curve and the suite of the RFC's test vectors in its appendix A.3. The private key may lie in a
secure element, which gives no more than a Diffie-Hellman exchange: so the opener is a function and not a key, and the
key schedule is composed here.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import TypeAlias

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from edgefleet_contract.errors import SealBroken

Exchange: TypeAlias = Callable[[ec.EllipticCurvePublicKey], bytes]  # ECDH: the x coordinate of the shared point

_KEM = b"KEM" + (0x0010).to_bytes(2, "big")  # suite ids of sections 4.1 and 5.1
_HPKE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0010, 0x0001, 0x0001))
_SECRET_BYTES = 32
_AEAD_KEY_BYTES = 16
_NONCE_BYTES = 12
_BASE_MODE = b"\0"


class WrappedKey(msgspec.Struct, frozen=True):
    """A key for one holder.

    Attributes:
        enc: The encapsulated key: base64 of an uncompressed P-256 point (65 bytes).
        ciphertext: Base64 of the sealed key with its tag.
    """

    enc: str
    ciphertext: str


def wrap(key: bytes, recipient: ec.EllipticCurvePublicKey, context: bytes) -> WrappedKey:
    """Wrap ``key`` to ``recipient``.

    Args:
        key: What only the holder shall have.
        recipient: P-256.
        context: What the key is for and whose; it opens under the same context alone (``info`` of HPKE).
    """
    enc, ciphertext = _seal(ec.generate_private_key(ec.SECP256R1()), recipient, key, context, b"")
    return WrappedKey(base64.b64encode(enc).decode(), base64.b64encode(ciphertext).decode())


def unwrap(wrapped: WrappedKey, exchange: Exchange, public: ec.EllipticCurvePublicKey, context: bytes) -> bytes:
    """The key that was wrapped to ``public``.

    Args:
        wrapped: As :func:`wrap` made it.
        exchange: ECDH with the private key of ``public``.
        public: The holder's public key.
        context: As it was wrapped.

    Raises:
        SealBroken: It is for another key or context, or was changed.
    """
    try:
        enc = base64.b64decode(wrapped.enc, validate=True)
        ciphertext = base64.b64decode(wrapped.ciphertext, validate=True)
        return _open(enc, ciphertext, exchange, public, context, b"")
    except (binascii.Error, ValueError, InvalidTag) as cause:
        raise SealBroken(
            "A wrapped key does not open",
            expected="one that was wrapped to this key, for this use",
            remedy="It is for another device or person, or was changed on its way.",
        ) from cause


def exchange_with(key: ec.EllipticCurvePrivateKey) -> Exchange:
    """The exchange of a private key that is at hand."""
    return lambda peer: key.exchange(ec.ECDH(), peer)


def _seal(
    ephemeral: ec.EllipticCurvePrivateKey, recipient: ec.EllipticCurvePublicKey, plain: bytes, info: bytes, aad: bytes
) -> tuple[bytes, bytes]:
    """``SealBase`` of section 6.1, with the ephemeral key of ``Encap`` given: the encapsulated key, the ciphertext."""
    enc = _point(ephemeral.public_key())
    shared = _extract_and_expand(ephemeral.exchange(ec.ECDH(), recipient), enc + _point(recipient))
    key, nonce = _key_schedule(shared, info)
    return enc, AESGCM(key).encrypt(nonce, plain, aad)


def _open(
    enc: bytes, ciphertext: bytes, exchange: Exchange, public: ec.EllipticCurvePublicKey, info: bytes, aad: bytes
) -> bytes:
    """``OpenBase`` of section 6.1; a point that is not on the curve is a ValueError (section 7.1.4)."""
    sender = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), enc)
    shared = _extract_and_expand(exchange(sender), enc + _point(public))
    key, nonce = _key_schedule(shared, info)
    return AESGCM(key).decrypt(nonce, ciphertext, aad)


def _extract_and_expand(dh: bytes, kem_context: bytes) -> bytes:
    """Section 4.1."""
    prk = _labeled_extract(_KEM, b"eae_prk", dh)
    return _labeled_expand(_KEM, prk, b"shared_secret", kem_context, _SECRET_BYTES)


def _key_schedule(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Section 5.1 in base mode (no pre-shared key): the key and the nonce of the first message, which is the only."""
    context = _BASE_MODE + _labeled_extract(_HPKE, b"psk_id_hash", b"") + _labeled_extract(_HPKE, b"info_hash", info)
    secret = _labeled_extract(_HPKE, b"secret", b"", salt=shared)
    return (
        _labeled_expand(_HPKE, secret, b"key", context, _AEAD_KEY_BYTES),
        _labeled_expand(_HPKE, secret, b"base_nonce", context, _NONCE_BYTES),
    )


def _labeled_extract(suite: bytes, label: bytes, material: bytes, *, salt: bytes = b"") -> bytes:
    """Section 4; HKDF-Extract is an HMAC (RFC 5869, section 2.2)."""
    return hmac.digest(salt or bytes(_SECRET_BYTES), b"HPKE-v1" + suite + label + material, "sha256")


def _labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return HKDFExpand(hashes.SHA256(), length, labeled).derive(prk)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
