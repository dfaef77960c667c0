"""An identity key in hardware that speaks PKCS #11 (version 2.40), named by a URI (RFC 7512).

``pkcs11:token=NAME;object=LABEL?module-path=/usr/lib/.../libsofthsm2.so&pin-source=/etc/edgefleet/pin``. The PIN comes
from the file ``pin-source``, or from the environment (``EDGEFLEET_PKCS11_PIN``), and never stands in the URI: that is
kept in the data folder. A session lasts for one act, so that hardware may be unplugged and come back.
"""

from __future__ import annotations

import hashlib
import os
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.exceptions import (
    FunctionFailed,
    NoSuchKey,
    NoSuchToken,
    PinIncorrect,
    PinLocked,
    PKCS11Error,
    TokenNotPresent,
)
from pkcs11.util.ec import encode_named_curve_parameters

from edgefleet_contract.errors import SignerFailed, SignerUnavailable, UsageMalformed

PIN = "EDGEFLEET_PKCS11_PIN"
_COORDINATE_BYTES = 32
_POINT_BYTES = 1 + 2 * _COORDINATE_BYTES  # uncompressed (SEC 1, section 2.3.3)
_AWAY = (NoSuchToken, TokenNotPresent, PinIncorrect, PinLocked, FunctionFailed)
_EXAMPLE = "pkcs11:token=NAME;object=LABEL?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=FILE"


@dataclass(frozen=True)
class Place:
    """Where a key is: the library, the token, the key's label, and the file of the PIN (None: the environment)."""

    module: str
    token: str
    label: str
    pin_source: str | None


def parse_uri(uri: str) -> Place:
    """The place that a PKCS #11 URI names.

    Raises:
        UsageMalformed: It names no token, key or library, or has a PIN in it.
    """
    path, _, query = uri.removeprefix("pkcs11:").partition("?")
    named = _attributes(path, ";") | _attributes(query, "&")
    if "pin-value" in named:
        raise UsageMalformed("The PKCS #11 URI has a PIN in it", expected=f"pin-source=FILE, or the variable {PIN}")
    try:
        pin_source = named.get("pin-source")
        pin_file = pin_source.removeprefix("file:") if pin_source else None
        return Place(named["module-path"], named["token"], named["object"], pin_file)
    except KeyError as cause:
        raise UsageMalformed(f"The PKCS #11 URI names no {cause.args[0]}", expected=_EXAMPLE) from cause


class Pkcs11Signer:
    """A ``Signer`` with a key that stays in hardware.

    Args:
        uri: Names it.

    Raises:
        UsageMalformed: The URI is none.
    """

    def __init__(self, uri: str) -> None:
        self._place = parse_uri(uri)

    def make(self) -> None:
        """Make the key in the hardware, unless it is there: one that cannot be read out."""
        with self._session(writes=True) as session:
            try:
                self._find(session, ObjectClass.PRIVATE_KEY)
            except NoSuchKey:
                curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
                parameters = session.create_domain_parameters(KeyType.EC, curve, local=True)
                parameters.generate_keypair(
                    store=True,
                    label=self._place.label,
                    capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY | MechanismFlag.DERIVE,
                    private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
                )

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """As ``Signer``."""
        with self._session() as session:
            encoded = bytes(self._find(session, ObjectClass.PUBLIC_KEY)[Attribute.EC_POINT])
        try:  # a DER octet string around the point
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded[-_POINT_BYTES:])
        except ValueError as cause:
            raise SignerFailed(f"The key {self._place.label!r} is on another curve", expected="P-256") from cause

    def sign_message(self, message: bytes) -> bytes:
        """As ``Signer``; the hash is made here, for not all hardware knows ECDSA with SHA-256 in one."""
        digest = hashlib.sha256(message).digest()
        with self._session() as session:
            raw = self._find(session, ObjectClass.PRIVATE_KEY).sign(digest, mechanism=Mechanism.ECDSA)
        half = len(raw) // 2  # PKCS #11 2.40, section 2.3.1: r and s, each of the same length
        return utils.encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    def exchange(self, peer: ec.EllipticCurvePublicKey) -> bytes:
        """As ``Signer``."""
        point = peer.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        with self._session() as session:
            secret = self._find(session, ObjectClass.PRIVATE_KEY).derive_key(
                KeyType.GENERIC_SECRET,
                8 * _COORDINATE_BYTES,
                mechanism=Mechanism.ECDH1_DERIVE,
                mechanism_param=(pkcs11.KDF.NULL, None, point),
                template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
            )
            return bytes(secret[Attribute.VALUE]).rjust(_COORDINATE_BYTES, b"\0")

    def _find(self, session: Any, kind: ObjectClass) -> Any:
        return session.get_key(object_class=kind, key_type=KeyType.EC, label=self._place.label)

    @contextmanager
    def _session(self, *, writes: bool = False) -> Iterator[Any]:
        place = self._place
        try:
            library = pkcs11.lib(place.module)
            with library.get_token(token_label=place.token).open(user_pin=_pin(place), rw=writes) as session:
                yield session
        except _AWAY as cause:
            raise SignerUnavailable(
                f"The token {place.token!r} does not let us in: {type(cause).__name__}",
                remedy="Check that the hardware is plugged in, and the PIN.",
            ) from cause
        except NoSuchKey as cause:
            raise SignerUnavailable(f"The token {place.token!r} holds no key {place.label!r}") from cause
        except (PKCS11Error, RuntimeError) as cause:
            raise SignerFailed(
                f"The token {place.token!r} failed: {type(cause).__name__} {cause}",
                expected=f"a PKCS #11 library at {place.module!r}, and a key that signs and derives",
            ) from cause


def _pin(place: Place) -> str:
    if place.pin_source is None:
        return os.environ.get(PIN, "")
    try:
        return Path(place.pin_source).read_text().strip()
    except OSError as cause:
        raise SignerUnavailable(f"The PIN file {place.pin_source!r} cannot be read: {cause.strerror}") from cause


def _attributes(text: str, separator: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(separator) if part)
    return {name: urllib.parse.unquote(value) for name, _, value in pairs}
