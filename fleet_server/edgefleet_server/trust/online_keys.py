"""The server's own keys, in ``keys/``: one for snapshot and timestamp, one for assignments.

Which of the files counts, the publisher's newest root says: so a root that names others takes all power from a thief
of these, and a key made for the next root waits beside the present one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root

from edgefleet_contract import keys
from edgefleet_contract.errors import OnlineKeyLost, StatementMalformed
from edgefleet_server.data_folder import lost, read_kept, write_durable
from edgefleet_server.trust.server_keys import SERVER_ROLES, ServerKeys, described, key_ids


@dataclass(frozen=True)
class OnlineKey:
    """One key: as it signs envelopes, and as it signs metadata."""

    private: keys.PrivateKey
    signer: CryptoSigner

    @property
    def id(self) -> str:
        """As TUF names it."""
        return self.signer.public_key.keyid


class OnlineKeys:
    """The keys of a folder.

    Args:
        folder: Theirs; keys are made where there are none.

    Raises:
        DataFolderMalformed: A file holds no key.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for role in SERVER_ROLES:
            if not self._files(role):
                self.make(role)

    def make(self, role: str) -> OnlineKey:
        """A fresh key, which counts as soon as a root names it."""
        private = keys.generate()
        made = OnlineKey(private, CryptoSigner(private))
        write_durable(self._path(role, made.id), keys.to_pem(private))
        return made

    def public(self, root: Root | None) -> ServerKeys:
        """What a root names or is to name: the keys that ``root`` does, else the newest ones."""
        chosen = {}
        for role in SERVER_ROLES:
            named = self._named(root, role) if root is not None else None
            newest = max(self._files(role), key=lambda path: (path.stat().st_mtime_ns, path.name))
            chosen[role] = described((named or _load(newest)).signer.public_key)
        return ServerKeys(**chosen)

    def key(self, root: Root, role: str) -> OnlineKey:
        """The key that ``root`` names for a role.

        Raises:
            OnlineKeyLost: It is not here.
        """
        found = self._named(root, role)
        if found is None:
            raise OnlineKeyLost(
                f"This server does not have the {role} key that the trust root, version {root.version}, names",
                expected=f"the key {key_ids(root, role)[0][:16]} in {str(self._folder)!r}",
                remedy="Bring the folder back from a backup; or, with the root key, have devices follow a new one: "
                "`edgefleet key rotate online assignment`.",
            )
        return found

    def _named(self, root: Root, role: str) -> OnlineKey | None:
        paths = [self._path(role, key_id) for key_id in key_ids(root, role)]
        return next((_load(path) for path in paths if path.exists()), None)

    def _path(self, role: str, key_id: str) -> Path:
        return self._folder / f"{role}-{key_id[:16]}.pem"

    def _files(self, role: str) -> list[Path]:
        return list(self._folder.glob(f"{role}-*.pem"))


@lru_cache(maxsize=16)
def _load(path: Path) -> OnlineKey:
    try:
        private = keys.from_pem(read_kept(path))
    except StatementMalformed as cause:
        raise lost(path, cause.seen) from cause
    return OnlineKey(private, CryptoSigner(private))
