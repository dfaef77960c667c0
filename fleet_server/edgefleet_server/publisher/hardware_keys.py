"""Signing keys that never leave a PKCS #11 token (an HSM, a smart card), named by a URI as RFC 7512 writes them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pkcs11
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11.exceptions import PKCS11Error
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
from securesystemslib.signer import Key, Signature, Signer, SSlibKey

from edgefleet_contract.errors import InputError
from edgefleet_server.publisher.token_uris import MODULE, Location, parse_uri

PIN = "EDGEFLEET_PKCS11_PIN"
_WORD = 32  # bytes of one of the two numbers of a P-256 signature


class HardwareSigner(Signer):
    """Signs inside a token, with ECDSA P-256 over SHA-256.

    Args:
        location: Of the key pair.
        make: Whether to make it, which must not be there yet; else it must.

    Raises:
        InputError: No such token or key, or a wrong PIN.
    """

    def __init__(self, location: Location, *, make: bool = False) -> None:
        self._location = location
        with _session(location) as session:
            if make:
                _generate(session, location)
            public = _object(session, location, pkcs11.ObjectClass.PUBLIC_KEY)
            self._public = SSlibKey.from_crypto(load_der_public_key(encode_ec_public_key(public)))

    @property
    def public_key(self) -> Key:
        """As TUF writes it."""
        return self._public

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key, secrets_handler: object = None) -> Signer:
        """The signer of a key that has been used before (securesystemslib's way to open one)."""
        del secrets_handler
        signer = cls(parse_uri(priv_key_uri))
        if signer.public_key.keyid != public_key.keyid:
            raise InputError(f"The token's key {signer._location.label!r} is another one than it was")
        return signer

    def sign(self, payload: bytes) -> Signature:
        """A DER signature, as ``ecdsa-sha2-nistp256`` wants it."""
        digest = hashlib.sha256(payload).digest()
        with _session(self._location) as session:
            key = _object(session, self._location, pkcs11.ObjectClass.PRIVATE_KEY)
            raw: bytes = key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)
        r, s = (int.from_bytes(raw[at : at + _WORD], "big") for at in (0, _WORD))
        return Signature(self._public.keyid, encode_dss_signature(r, s).hex())


@contextmanager
def _session(location: Location) -> Iterator[pkcs11.Session]:
    pin = os.environ.get(PIN)
    if pin is None:
        raise InputError(f"The token {location.token!r} needs its PIN", remedy=f"Set {PIN}.")
    try:
        token = pkcs11.lib(location.module).get_token(token_label=location.token)
        with token.open(user_pin=pin, rw=True) as session:
            yield session
    except PKCS11Error as cause:
        raise InputError(
            f"The token {location.token!r} cannot be used: {type(cause).__name__}",
            expected=f"a token that {location.module} knows, and its PIN in {PIN}",
        ) from cause
    except RuntimeError as cause:
        raise InputError(
            f"The PKCS #11 module {location.module!r} cannot be loaded: {cause}",
            remedy=f"Set {MODULE}, or write ?module-path=FILE.so at the end of the URI.",
        ) from cause


def _generate(session: pkcs11.Session, location: Location) -> None:
    parameters = session.create_domain_parameters(
        pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
    )
    parameters.generate_keypair(store=True, label=location.label)


def _object(session: pkcs11.Session, location: Location, kind: pkcs11.ObjectClass) -> Any:
    return session.get_key(object_class=kind, label=location.label)
