"""The server's online key: signs assignments, and nothing else. Made at the first start, in ``keys/``."""

from __future__ import annotations

from pathlib import Path

from edgefleet_contract import canonical, dsse, keys
from edgefleet_contract.errors import StatementMalformed
from edgefleet_contract.trust import Assignment
from edgefleet_server.data_folder import lost, read_kept, write_durable


class AssignmentKey:
    """Signs assignments with the Ed25519 key of a folder.

    Args:
        folder: Of the key, which is made where it is missing.
        pinned: Whether devices have pinned it already, so that another one would be of no use.

    Raises:
        DataFolderMalformed: The key is gone though it is pinned, or it is none.
    """

    def __init__(self, folder: Path, *, pinned: bool = False) -> None:
        path = folder / "assignment.pem"
        if not path.exists() and not pinned:
            write_durable(path, keys.to_pem(keys.generate()))
        try:
            self._key = keys.from_pem(read_kept(path))
        except StatementMalformed as cause:
            raise lost(path, cause.seen) from cause

    @property
    def public(self) -> str:
        """The public key, as devices pin it."""
        return keys.public_text(self._key.public_key())

    def sign(self, assignment: Assignment) -> bytes:
        """The assignment in a DSSE envelope."""
        return dsse.sign(canonical.encode(assignment), dsse.ASSIGNMENT, [self._key])
