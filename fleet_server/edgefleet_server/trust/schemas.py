"""What the API takes and says of trust."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel

from edgefleet_contract import canonical
from edgefleet_server.bodies import METADATA_BODY_LIMIT


class TrustSchema(BaseModel):
    """The server's public keys, and which metadata it has.

    Attributes:
        root: SHA-256 of the newest root; None before the first.
        keys: What the root names or is to name: "online" and "assignment", as TUF writes keys, with their ids.
        files: SHA-256 of each metadata file of the publisher's, by name.
        version: Of the timestamp, which the server signs; 0 before the first.
    """

    root: str | None
    keys: dict[str, dict[str, Any]]
    files: dict[str, str]
    version: int


class FileSchema(BaseModel):
    """A metadata file: its exact bytes, which are ASCII JSON."""

    name: str
    data: str


class PermitSchema(BaseModel):
    """A permit for a downgrade.

    Attributes:
        release: NAME@VERSION of the bundle.
        expires: UTC milliseconds.
        state: "in force", "lapsed" (a key that signed it was replaced: sign it again), "replaced" (likewise, and
            somebody has) or "expired".
    """

    id: int
    release: str | None
    digest: str
    devices: list[str]
    expires: int
    stored_at: int
    state: str


class Upload(msgspec.Struct, frozen=True):
    """Metadata of the publisher's, by file name; and what is being released with them.

    Attributes:
        metadata: Exact bytes as text.
        release: NAME@VERSION whose bundles have been uploaded; None for metadata alone.
    """

    metadata: dict[str, str]
    release: str | None = None

    def files(self) -> dict[str, bytes]:
        """The metadata as bytes."""
        return {name: text.encode() for name, text in self.metadata.items()}


def decode_upload(body: bytes) -> Upload:
    """The metadata in a request.

    Raises:
        MessageMalformed: There are none.
    """
    return canonical.decode(body, Upload, what="upload of metadata", limit=METADATA_BODY_LIMIT)
