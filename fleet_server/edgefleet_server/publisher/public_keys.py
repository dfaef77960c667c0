"""The public part of a key, as a file: what its holder gives to whoever begins or changes a trust root over it.

The keys of two people are made on two machines, and only these files travel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.signer import SSlibKey

from edgefleet_contract import canonical
from edgefleet_contract.errors import InputError, OutputUnwritable, UsageMalformed
from edgefleet_server.data_folder import write_durable
from edgefleet_server.publisher.keyring import OFFLINE_ROLES, SigningKey

_LIMIT = 1 << 14  # bytes
_NAME_LIMIT = 64  # characters
_READABLE = 0o644  # nothing in it is secret


class _File(msgspec.Struct, frozen=True):
    v: int
    role: str
    id: str
    public: dict[str, Any]
    name: str


def check_name(name: str) -> str:
    """``name``, as it may stand in lists that are shown on a terminal.

    Raises:
        UsageMalformed: It is too long, or holds what is no letter, digit, sign or blank.
    """
    if len(name) > _NAME_LIMIT or not name.isprintable():
        raise UsageMalformed(
            f"The name is {name[:_NAME_LIMIT]!r}", expected=f"at most {_NAME_LIMIT} printable characters"
        )
    return name


def write(path: Path, key: SigningKey) -> None:
    """Write the public part of ``key``.

    Raises:
        OutputUnwritable: The file cannot be written.
    """
    try:
        write_durable(path, canonical.encode(_File(1, key.role, key.id, key.public, key.name)), _READABLE)
    except OSError as cause:
        raise OutputUnwritable(f"The public key cannot be written to {str(path)!r}: {cause.strerror}") from cause


def read(path: Path, role: str) -> SigningKey:
    """The key of a file, which is somewhere else; its id is reckoned anew.

    Args:
        path: As :func:`write` left it.
        role: What the key is to be used for.

    Raises:
        InputError: It cannot be read, is no public key, is for another role, or lies about the key's id: under
            two ids one key would count as two.
    """
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise InputError(f"The public key {str(path)!r} cannot be read: {cause.strerror}") from cause
    file = canonical.decode(content, _File, what="public key", limit=_LIMIT, error=InputError)
    key = SigningKey(file.role, file.id, file.public, place="", name=check_name(file.name))
    if file.v != 1 or file.role not in OFFLINE_ROLES or not _is_itself(key):
        raise InputError(f"The file {str(path)!r} is no public key", expected="one that `edgefleet key new` wrote")
    if key.role != role:
        raise InputError(
            f"The key of {str(path)!r} is for the role {key.role!r}",
            expected=repr(role),
            remedy=f"Have another made where its holder is: `edgefleet key new {role}`.",
        )
    return key


def _is_itself(key: SigningKey) -> bool:
    """Whether id and description are those that the key itself gives."""
    try:
        value = str(key.public["keyval"]["public"])
        public: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
        if key.public["keytype"] == "ed25519":
            public = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(value))
        else:
            loaded = load_pem_public_key(value.encode())
            if not (isinstance(loaded, ec.EllipticCurvePublicKey) and isinstance(loaded.curve, ec.SECP256R1)):
                return False
            public = loaded
    except (KeyError, TypeError, ValueError):
        return False
    same = SSlibKey.from_crypto(public)
    return same.keyid == key.id and same.to_dict() == key.public
