"""Which signing keys there are, and where: ``keys.json`` and ``keys/`` in the operator's folder.

A key is offline when its file or token is not here; the list keeps its public part, for new versions of the root.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from securesystemslib.signer import Key, Signer

from edgefleet_contract import canonical
from edgefleet_contract.errors import InputError, OutputUnwritable, UsageMalformed
from edgefleet_server.data_folder import make_private, write_durable
from edgefleet_server.publisher import hardware_keys, signers
from edgefleet_server.publisher.signers import Passphrase

ROOT, TARGETS = "root", "targets"
OFFLINE_ROLES = (ROOT, TARGETS)
_FILE = "keys.json"
_LIMIT = 1 << 20  # bytes


def model_role(name: str) -> str:
    """The role of the keys that sign releases of one model alone."""
    return f"model/{name}"


class SigningKey(msgspec.Struct, frozen=True):
    """One key.

    Attributes:
        role: "root", "targets", or ``model/NAME``: the delegated role of a model with keys of its own.
        id: As TUF names it.
        public: As TUF writes it.
        place: The name of a file in ``keys/``, or a PKCS #11 URI.
    """

    role: str
    id: str
    public: dict[str, Any]
    place: str

    @property
    def key(self) -> Key:
        """The public key."""
        return Key.from_dict(self.id, {**self.public, "keyval": dict(self.public["keyval"])})


class _Kept(msgspec.Struct, frozen=True):
    v: int
    thresholds: dict[str, int]
    keys: list[SigningKey]


class Keyring:
    """The keys of one folder.

    Args:
        folder: The operator's own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _FILE
        self._passphrase = Passphrase()
        self._opened: dict[str, Signer] = {}

    @property
    def exists(self) -> bool:
        """Whether keys have been made here."""
        return self._path.exists()

    def all(self) -> list[SigningKey]:
        """Every key, the oldest first."""
        return self._kept().keys

    def of(self, role: str) -> list[SigningKey]:
        """The keys of a role."""
        return [key for key in self.all() if key.role == role]

    def threshold(self, role: str) -> int:
        """How many keys of a role must sign."""
        return self._kept().thresholds[role]

    def where(self, key: SigningKey) -> str:
        """Where a key lies, for people."""
        return key.place if key.place.startswith(hardware_keys.SCHEME) else str(self._file(key))

    def is_here(self, key: SigningKey) -> bool:
        """Whether it can sign on this machine: a file that is there; of a token only its use can tell."""
        return key.place.startswith(hardware_keys.SCHEME) or self._file(key).exists()

    def signer(self, key_id: str) -> Signer | None:
        """The signer of a key; None when that key is not here.

        Raises:
            InputError: It is here and cannot be opened.
        """
        found = next((key for key in self.all() if key.id == key_id), None)
        if found is None or not self.is_here(found):
            return None
        if key_id not in self._opened:
            if found.place.startswith(hardware_keys.SCHEME):
                self._opened[key_id] = hardware_keys.HardwareSigner.from_priv_key_uri(found.place, found.key)
            else:
                self._opened[key_id] = signers.open_file(self._file(found), self._passphrase)
        return self._opened[key_id]

    def make(
        self, counts: Mapping[str, int], thresholds: Mapping[str, int], *, passphrase: bool = False, token: str = ""
    ) -> list[SigningKey]:
        """Make fresh keys of some roles. Older ones stay in the list: what they are worth, the newest root says.

        Args:
            counts: How many of each role.
            thresholds: How many of them must sign.
            passphrase: Whether their files are encrypted.
            token: PKCS #11 URI of the token that makes them; empty for files.

        Raises:
            UsageMalformed: A threshold that its keys cannot meet.
            OutputUnwritable: The folder cannot be written.
        """
        for role, count in counts.items():
            if not 1 <= thresholds[role] <= count:
                raise UsageMalformed(
                    f"The role {role} would have {count} keys, of which {thresholds[role]} must sign",
                    expected="a threshold from 1 to the number of keys",
                )
        before = self._kept() if self.exists else _Kept(1, {}, [])
        try:
            make_private(self._folder)
            make_private(self._folder / "keys")
            made = [
                self._make(role, passphrase=passphrase, token=token)
                for role, count in counts.items()
                for _ in range(count)
            ]
            kept = _Kept(1, {**before.thresholds, **thresholds}, [*before.keys, *made])
            write_durable(self._path, canonical.encode(kept))
        except OSError as cause:
            raise OutputUnwritable(
                f"The keys cannot be written to {str(self._folder)!r}: {cause.strerror}",
                remedy="Set EDGEFLEET_HOME to a folder of yours.",
            ) from cause
        return made

    def _make(self, role: str, *, passphrase: bool, token: str) -> SigningKey:
        stem = role.replace("/", "-")
        if token:
            location = hardware_keys.fresh_location(token, stem)
            signer: Signer = hardware_keys.HardwareSigner(location, make=True)
            place = location.uri
        else:
            signer, path = signers.make_file(self._folder / "keys", stem, self._passphrase if passphrase else None)
            place = path.name
        public = signer.public_key
        self._opened[public.keyid] = signer
        return SigningKey(role, public.keyid, public.to_dict(), place)

    def _file(self, key: SigningKey) -> Path:
        return self._folder / "keys" / key.place

    def _kept(self) -> _Kept:
        try:
            content = self._path.read_bytes()
        except OSError as cause:
            raise InputError(
                f"There are no signing keys in {str(self._folder)!r}", remedy="Make them: `edgefleet key init`."
            ) from cause
        return canonical.decode(content, _Kept, what="list of signing keys", limit=_LIMIT, error=InputError)
