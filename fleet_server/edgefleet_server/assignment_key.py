"""The server's online key: signs assignments, and nothing else. Made at the first start, in ``keys/``."""

from __future__ import annotations

from pathlib import Path

from edgefleet_contract import canonical, dsse, keys
from edgefleet_contract.trust import Assignment
from edgefleet_server.data_folder import write_durable


class AssignmentKey:
    """Signs assignments with the Ed25519 key of a folder."""

    def __init__(self, folder: Path) -> None:
        path = folder / "assignment.pem"
        if not path.exists():
            write_durable(path, keys.to_pem(keys.generate()))
        self._key = keys.from_pem(path.read_bytes())

    @property
    def public(self) -> str:
        """The public key, as devices pin it."""
        return keys.public_text(self._key.public_key())

    def sign(self, assignment: Assignment) -> bytes:
        """The assignment in a DSSE envelope."""
        return dsse.sign(canonical.encode(assignment), dsse.ASSIGNMENT, [self._key])
