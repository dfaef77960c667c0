"""New metadata on their way to enough signatures; where these are held by several people, the way is a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, Root, Targets

from edgefleet_contract import canonical
from edgefleet_contract.errors import StatementMalformed
from edgefleet_contract.trust.repository import metadata_name
from edgefleet_server.trust.repository import Repository, parse, split_name, to_bytes

_LIMIT = 64 << 20  # bytes
FindSigner = Callable[[str], Signer | None]


class _File(msgspec.Struct, frozen=True):
    """A draft as it is handed on: what it builds on, what is to be signed, and what people call the keys."""

    v: int
    about: str
    base: dict[str, str]
    new: dict[str, str]
    names: dict[str, str]


@dataclass(frozen=True)
class Missing:
    """Signatures that a draft lacks.

    Attributes:
        role: Whose metadata they are.
        count: How many are still needed.
        keys: Ids of the keys that may give them.
    """

    role: str
    count: int
    keys: list[str]


@dataclass(frozen=True)
class Draft:
    """New metadata over a repository.

    Attributes:
        about: What it is for, in words: "release digits@1.0.0".
        base: What it builds on.
        new: By file name; their signatures grow.
        names: Whose the keys are, by id, in the words of whoever began it. Nobody signs them.
    """

    about: str
    base: Repository
    new: Mapping[str, Metadata[Any]]
    names: Mapping[str, str] = field(default_factory=dict)

    def sign(self, find: FindSigner) -> int:
        """Add the signatures of all keys that ``find`` has; returns how many."""
        added = 0
        for metadata, verifier, role in self._demands():
            for key_id in verifier.get_delegated_role(role).keyids:
                signer = find(key_id) if key_id not in metadata.signatures else None
                if signer is not None:
                    metadata.sign(signer, append=True)
                    added += 1
        return added

    def missing(self) -> list[Missing]:
        """What it still lacks; nothing when it is complete."""
        found = []
        for metadata, verifier, role in self._demands():
            result = verifier.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
            if not result.verified:
                found.append(Missing(role, result.threshold - len(result.signed), list(result.unsigned)))
        return found

    def files(self) -> dict[str, bytes]:
        """The new metadata, as they stand."""
        return {name: to_bytes(metadata) for name, metadata in self.new.items()}

    def grown(self) -> Repository:
        """The repository with them.

        Raises:
            SignatureInvalid: They are not complete.
        """
        return self.base.grown(self.files())

    def encode(self) -> bytes:
        """The draft as a file."""
        base = {name: data.decode() for name, data in self.base.files().items()}
        new = {name: data.decode() for name, data in self.files().items()}
        return canonical.encode(_File(1, self.about, base, new, dict(self.names)))

    def says_as(self, other: Draft) -> bool:
        """Whether both say the same, but for signatures and the days on which they expire."""
        return self.base == other.base and self._undated() == other._undated()

    def _undated(self) -> dict[str, dict[str, Any]]:
        return {name: {**metadata.signed.to_dict(), "expires": ""} for name, metadata in self.new.items()}

    def label(self, key_id: str) -> str:
        """A key for people: its id in short, and whose it is."""
        name = self.names.get(key_id)
        return f"{key_id[:16]} ({name})" if name else key_id[:16]

    @property
    def root(self) -> Root:
        """The root that holds once it is complete."""
        root: Root = self._newest("root", Root)
        return root

    def _demands(self) -> Iterator[tuple[Metadata[Any], Root | Targets, str]]:
        """Each new file with whoever says which keys must sign it; a root twice, by the one before and by itself."""
        root, targets = self.root, self._newest("targets", Targets)
        for name, metadata in self.new.items():
            role, version = split_name(name)
            if role == "root":
                if version > 1:
                    yield metadata, self.base.root, "root"
                yield metadata, metadata.signed, "root"
            else:
                yield metadata, root if role == "targets" else targets, role

    def _newest(self, role: str, kind: type[Any]) -> Any:
        drafted = next((metadata for name, metadata in self.new.items() if split_name(name)[0] == role), None)
        if drafted is not None:
            return drafted.signed
        return self.base.root if kind is Root else self.base.delegating


def drafted(about: str, base: Repository, *signed: tuple[str, Any]) -> Draft:
    """A draft of role names with what they are to say, without any signature."""
    return Draft(about, base, {metadata_name(role, says.version): Metadata(says) for role, says in signed})


def decode(content: bytes) -> Draft:
    """The draft of a file. What it builds on is verified from its first root on.

    Raises:
        StatementMalformed: It is none.
        VerificationError: What it builds on does not hold.
    """
    file = canonical.decode(content, _File, what="half-signed file", limit=_LIMIT, error=StatementMalformed)
    base = Repository().grown({name: text.encode() for name, text in file.base.items()})
    new: dict[str, Metadata[Any]] = {}
    for name, text in file.new.items():
        role, version = split_name(name)
        kind = Root if role == "root" else Targets
        new[name] = parse(text.encode(), kind, f"{role} metadata")
        if new[name].signed.version != version:
            raise StatementMalformed(f"The file {name} says version {new[name].signed.version}")
    return Draft(file.about, base, new, {key_id: name for key_id, name in file.names.items() if name.isprintable()})
