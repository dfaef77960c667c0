"""The content key of a private bundle, wrapped for one device."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from edgefleet_contract.sealing.wrapping import Exchange, WrappedKey, unwrap, wrap


def wrap_content_key(key: bytes, recipient: ec.EllipticCurvePublicKey, digest: str) -> WrappedKey:
    """The content key of the bundle ``digest``, for the device whose public key ``recipient`` is."""
    return wrap(key, recipient, _context(digest))


def unwrap_content_key(
    wrapped: WrappedKey, exchange: Exchange, public: ec.EllipticCurvePublicKey, digest: str
) -> bytes:
    """The content key of the bundle ``digest``.

    Raises:
        SealBroken: It is for another device or bundle, or was changed.
    """
    return unwrap(wrapped, exchange, public, _context(digest))


def _context(digest: str) -> bytes:
    return b"edgefleet content key/1 " + digest.encode()
