"""Which signing keys there are, and where: ``keys.json`` and ``keys/`` in the operator's folder.

A key is offline when its file or token is not here; the list keeps its public part, for new versions of the root. Keys
of other people stand in it with their public part alone: they are elsewhere, and were never here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from securesystemslib.signer import Key, Signer

from edgefleet_contract import canonical
from edgefleet_contract.errors import InputError, OutputUnwritable, UsageMalformed
from edgefleet_server.data_folder import make_private, sync_folder, write_durable
from edgefleet_server.publisher import signers, token_uris
from edgefleet_server.publisher.signers import Passphrase

if TYPE_CHECKING:
    from edgefleet_server.publisher.hardware_keys import HardwareSigner

ROOT, TARGETS = "root", "targets"
OFFLINE_ROLES = (ROOT, TARGETS)
_FILE = "keys.json"
_LIMIT = 1 << 20  # bytes


def check_threshold(role: str, count: int, threshold: int) -> None:
    """Refuse a threshold that ``count`` keys cannot meet.

    Raises:
        UsageMalformed: It is below 1, or above their number.
    """
    if not 1 <= threshold <= count:
        raise UsageMalformed(
            f"The role {role} would have {count} keys, of which {threshold} must sign",
            expected="a threshold from 1 to the number of keys",
        )


def model_role(name: str) -> str:
    """The role of the keys that sign releases of one model alone."""
    return f"model/{name}"


class SigningKey(msgspec.Struct, frozen=True):
    """One key.

    Attributes:
        role: "root", "targets", or ``model/NAME``: the delegated role of a model with keys of its own.
        id: As TUF names it.
        public: As TUF writes it.
        place: The name of a file in ``keys/``, or a PKCS #11 URI; empty for a key of somebody else's.
        name: Whose it is, in the words of whoever made it.
    """

    role: str
    id: str
    public: dict[str, Any]
    place: str
    name: str = ""

    @property
    def is_own(self) -> bool:
        """Whether it was made on this machine, wherever it lies now."""
        return bool(self.place)

    @property
    def is_in_token(self) -> bool:
        """Whether it lies in a PKCS #11 token."""
        return self.place.startswith(token_uris.SCHEME)

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

    def threshold(self, role: str) -> int | None:
        """How many keys of a role must sign in the first root; None while nobody has said so."""
        return self._kept().thresholds.get(role)

    def names(self) -> dict[str, str]:
        """Whose keys they are, by id, as far as that is known."""
        return {key.id: key.name for key in self.all() if key.name} if self.exists else {}

    def where(self, key: SigningKey) -> str:
        """Where a key lies, for people; empty for one of somebody else's."""
        return str(self.file(key) or key.place)

    def file(self, key: SigningKey) -> Path | None:
        """The file of a key, which may have been taken away; None for keys in tokens and of other people."""
        return self._folder / "keys" / key.place if key.is_own and not key.is_in_token else None

    def is_here(self, key: SigningKey) -> bool:
        """Whether it can sign on this machine: a file that is there; of a token only its use can tell."""
        path = self.file(key)
        return path.exists() if path else key.is_in_token

    def signer(self, key_id: str) -> Signer | None:
        """The signer of a key; None when that key is not here.

        Raises:
            InputError: It is here and cannot be opened.
        """
        found = next((key for key in self.all() if key.id == key_id), None)
        if found is None or not self.is_here(found):
            return None
        if key_id not in self._opened:
            path = self.file(found)
            if path is None:
                self._opened[key_id] = _hardware_signer().from_priv_key_uri(found.place, found.key)
            else:
                self._opened[key_id] = signers.open_file(path, self._passphrase)
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
            check_threshold(role, count, thresholds[role])
        wanted = [role for role, count in counts.items() for _ in range(count)]
        return self._add(wanted, thresholds, passphrase=passphrase, token=token)

    def new(self, role: str, name: str, *, passphrase: bool = False, token: str = "") -> SigningKey:
        """Make one key, which has no power until a root names it.

        Args:
            role: "root" or "targets".
            name: Whose it is.
            passphrase: Whether its file is encrypted.
            token: PKCS #11 URI of the token that makes it; empty for a file.

        Raises:
            OutputUnwritable: The folder cannot be written.
        """
        return self._add([role], {}, name=name, passphrase=passphrase, token=token)[0]

    def adopt(self, keys: Sequence[SigningKey], thresholds: Mapping[str, int], *, instead: bool = False) -> None:
        """List keys of other people, and what the first root demands; names that are known here stay.

        Args:
            keys: Theirs.
            thresholds: By role.
            instead: Whether they take the place of all others of other people.

        Raises:
            OutputUnwritable: The folder cannot be written.
        """
        before = self._before()
        known = {key.id: key for key in before.keys if key.is_own or not instead}
        for key in keys:
            present = known.get(key.id)
            if present is None:
                known[key.id] = key
            elif not present.name:
                known[key.id] = msgspec.structs.replace(present, name=key.name)
        self._write(_Kept(1, {**before.thresholds, **thresholds}, list(known.values())))

    def remove(self, key: SigningKey) -> None:
        """Remove the private file of a key; its public part stays in the list.

        Raises:
            OutputUnwritable: It cannot be removed.
        """
        path = self.file(key)
        try:
            if path is not None:
                path.unlink(missing_ok=True)
                sync_folder(path.parent)
        except OSError as cause:
            raise OutputUnwritable(f"The key {str(path)!r} cannot be removed: {cause.strerror}") from cause

    def _add(
        self, roles: Sequence[str], thresholds: Mapping[str, int], *, name: str = "", passphrase: bool, token: str
    ) -> list[SigningKey]:
        before = self._before()
        try:
            make_private(self._folder)
            make_private(self._folder / "keys")
            made = [self._make(role, name, passphrase=passphrase, token=token) for role in roles]
        except OSError as cause:
            raise self._unwritable(cause) from cause
        self._write(_Kept(1, {**before.thresholds, **thresholds}, [*before.keys, *made]))
        return made

    def _write(self, kept: _Kept) -> None:
        try:
            make_private(self._folder)
            write_durable(self._path, canonical.encode(kept))
        except OSError as cause:
            raise self._unwritable(cause) from cause

    def _unwritable(self, cause: OSError) -> OutputUnwritable:
        return OutputUnwritable(
            f"The keys cannot be written to {str(self._folder)!r}: {cause.strerror}",
            remedy="Set EDGEFLEET_HOME to a folder of yours.",
        )

    def _before(self) -> _Kept:
        return self._kept() if self.exists else _Kept(1, {}, [])

    def _make(self, role: str, name: str, *, passphrase: bool, token: str) -> SigningKey:
        stem = role.replace("/", "-")
        if token:
            location = token_uris.fresh_location(token, stem)
            signer: Signer = _hardware_signer()(location, make=True)
            place = location.uri
        else:
            signer, path = signers.make_file(self._folder / "keys", stem, self._passphrase if passphrase else None)
            place = path.name
        public = signer.public_key
        self._opened[public.keyid] = signer
        return SigningKey(role, public.keyid, public.to_dict(), place, name)

    def _kept(self) -> _Kept:
        try:
            content = self._path.read_bytes()
        except OSError as cause:
            raise InputError(
                f"There are no signing keys in {str(self._folder)!r}", remedy="Make them: `edgefleet key init`."
            ) from cause
        return canonical.decode(content, _Kept, what="list of signing keys", limit=_LIMIT, error=InputError)


def _hardware_signer() -> type[HardwareSigner]:
    """What signs in tokens; imported where a key lies in one, for few machines have its library."""
    try:
        from edgefleet_server.publisher import hardware_keys  # noqa: PLC0415 - see above
    except ModuleNotFoundError as cause:
        raise InputError(
            f"The package {cause.name!r}, which keys in tokens need, is not installed",
            remedy="Install it: `pip install 'edgefleet[pkcs11]'`.",
        ) from cause
    return hardware_keys.HardwareSigner
