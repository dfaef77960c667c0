"""The public keys of a server, as the publisher's root names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.signer import Key
from tuf.api.metadata import Root

from edgefleet_contract import keys
from edgefleet_contract.trust.repository import EXTENSION

ONLINE, ASSIGNMENT = "online", "assignment"
SERVER_ROLES = (ONLINE, ASSIGNMENT)


class ServerKeys(msgspec.Struct, frozen=True):
    """One key for snapshot and timestamp, one for assignments, each with its id among its fields.

    Attributes:
        online: ``{"keyid": ..., "keytype": ..., "scheme": ..., "keyval": ...}``.
        assignment: The same.
    """

    online: dict[str, Any]
    assignment: dict[str, Any]

    def replaced(self, fresh: Mapping[str, dict[str, Any]]) -> ServerKeys:
        """These keys with others for the roles of ``fresh``."""
        return msgspec.structs.replace(self, **fresh)

    def key(self, role: str) -> Key:
        """The key of a role."""
        described = dict(getattr(self, role))
        return Key.from_dict(described.pop("keyid"), {**described, "keyval": dict(described["keyval"])})


def described(key: Key) -> dict[str, Any]:
    """A key as :class:`ServerKeys` has it."""
    return {"keyid": key.keyid, **key.to_dict()}


def key_ids(root: Root, role: str) -> list[str]:
    """The ids of the server's keys that ``root`` names for a role."""
    if role == ONLINE:
        return list(root.roles["timestamp"].keyids)
    extension = root.unrecognized_fields.get(EXTENSION, {})
    return list(extension.get(ASSIGNMENT, {}).get("keyids", []))


def statement_key_id(key: Key) -> str:
    """The id by which an envelope (``contract.dsse``) names a key that TUF names otherwise."""
    value = key.keyval["public"]
    if key.keytype == "ed25519":
        return keys.key_id(ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(value)))
    public = load_pem_public_key(value.encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    return keys.key_id(public)
