"""What the publisher has signed: roots, targets, and a delegated role for each model. A value, verified as it grows.

The operator's machine keeps one as its own copy, the server another; both let in only what this module lets in, so
that neither can be talked into older or foreign metadata by the other. Source: TUF specification 1.0.33, section 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import DelegatedRole, Metadata, Root, Signed, Targets
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from edgefleet_contract import canonical
from edgefleet_contract.errors import Conflict, SignatureInvalid, StatementMalformed
from edgefleet_contract.trust.repository import TARGETS_LIMIT, check_role, delegated_paths, metadata_name

_SERIALIZER = JSONSerializer(compact=True)
Kind = TypeVar("Kind", Root, Targets)


def to_bytes(metadata: Metadata[Any]) -> bytes:
    """Metadata as compact JSON."""
    return metadata.to_bytes(_SERIALIZER)


def parse(data: bytes, kind: type[Kind], what: str) -> Metadata[Kind]:
    """Metadata of a kind, not yet verified.

    Raises:
        StatementMalformed: It is none.
    """
    if len(data) > TARGETS_LIMIT:
        raise StatementMalformed(f"The {what} has {len(data)} bytes", expected=f"at most {TARGETS_LIMIT}")
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(data)
    except DeserializationError as cause:
        raise StatementMalformed(f"The {what} does not decode", expected="TUF metadata") from cause
    if not isinstance(metadata.signed, kind):
        raise StatementMalformed(f"The {what} is of type {metadata.signed.type!r}", expected=repr(kind.type))
    return metadata


def split_name(name: str) -> tuple[str, int]:
    """Role and version of a file's name.

    Raises:
        StatementMalformed: It is none of ours.
    """
    version, _, rest = name.partition(".")
    role = rest.removesuffix(".json")
    if not version.isdecimal() or metadata_name(role, int(version)) != name:
        raise StatementMalformed(f"The metadata file is called {name!r}", expected="VERSION.ROLE.json")
    return role, int(version)


@dataclass(frozen=True)
class Repository:
    """Verified offline metadata, as exact bytes.

    Attributes:
        roots: All versions, from 1 on.
        targets: The newest; None before the first.
        models: The newest metadata of each model's delegated role, by name.
    """

    roots: tuple[bytes, ...] = ()
    targets: bytes | None = None
    models: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def root(self) -> Root:
        """The newest root."""
        return parse(self.roots[-1], Root, "root").signed

    @property
    def delegating(self) -> Targets:
        """The newest targets metadata."""
        assert self.targets is not None
        return parse(self.targets, Targets, "targets").signed

    @property
    def root_digest(self) -> str | None:
        """SHA-256 of the newest root's bytes: what a claim token names; None before the first."""
        return canonical.sha256(self.roots[-1]) if self.roots else None

    def model(self, name: str) -> Targets | None:
        """What a model's role says; None before its first release."""
        return parse(self.models[name], Targets, f"role {name}").signed if name in self.models else None

    def delegated(self, name: str) -> DelegatedRole | None:
        """The delegation of a model; None where there is none."""
        if self.targets is None:
            return None
        delegations = self.delegating.delegations
        return (delegations.roles or {}).get(name) if delegations else None

    def versions(self) -> dict[str, int]:
        """The version of every role."""
        found = {"root": len(self.roots)} if self.roots else {}
        if self.targets is not None:
            found["targets"] = self.delegating.version
        return found | {name: parse(data, Targets, name).signed.version for name, data in self.models.items()}

    def files(self) -> dict[str, bytes]:
        """Everything, by the names that TUF gives it."""
        found = {metadata_name("root", number): data for number, data in enumerate(self.roots, 1)}
        newest = {"targets": self.targets} if self.targets is not None else {}
        versions = self.versions()
        return found | {
            metadata_name(role, versions[role]): data for role, data in (newest | dict(self.models)).items()
        }

    def expiries(self) -> dict[str, int]:
        """UTC milliseconds at which the newest metadata of each role expire."""
        if self.targets is None:
            return {}
        models = {name: parse(data, Targets, name).signed for name, data in self.models.items()}
        signed = {"root": self.root, "targets": self.delegating, **models}
        return {role: int(says.expires.timestamp() * 1000) for role, says in signed.items()}

    def key_ids(self) -> set[str]:
        """Every key that the newest root and targets metadata name."""
        if self.targets is None:
            return set()
        delegations = self.delegating.delegations
        return set(self.root.keys) | set(delegations.keys if delegations else ())

    def grown(self, files: Mapping[str, bytes]) -> Repository:
        """This repository with newer metadata: each file verified by what stands above it, and the whole consistent.

        Files that are there already are no news. Any order will do.

        Raises:
            SignatureInvalid: Signed by too few of the keys that must sign.
            StatementMalformed: Not of the form that a repository of ours has.
            Conflict: A version that is there already with other contents, an older one, or a released version changed
                (to withdraw it as a whole is no change).
        """
        named = {split_name(name): data for name, data in files.items()}
        grown = self
        for (role, version), data in sorted(named.items(), key=lambda item: (_rank(item[0][0]), item[0])):
            if role == "root":
                grown = _with_root(grown, version, data)
            elif role == "targets":
                grown = _with_targets(grown, version, data)
            else:
                grown = _with_model(grown, role, version, data)
        _check_whole(grown)
        return grown


def _with_root(repository: Repository, version: int, data: bytes) -> Repository:
    if version <= len(repository.roots):
        if repository.roots[version - 1] != data:
            raise _forked("root", version)
        return repository
    root = parse(data, Root, "root")
    if version != len(repository.roots) + 1 or root.signed.version != version:
        raise Conflict(
            f"The root has version {root.signed.version}", expected=f"{len(repository.roots) + 1}, which comes next"
        )
    if not root.signed.consistent_snapshot:
        raise StatementMalformed("The root has no consistent snapshots", expected="consistent_snapshot true")
    if repository.roots:
        _verify(repository.root, "root", root)
    _verify(root.signed, "root", root)
    return replace(repository, roots=(*repository.roots, data))


def _with_targets(repository: Repository, version: int, data: bytes) -> Repository:
    if not repository.roots:
        raise Conflict("There is no trust root yet", remedy="Push with `edgefleet release push`.")
    targets = parse(data, Targets, "targets")
    if repository.targets is not None:
        present = repository.delegating.version
        if version == present and data == repository.targets:
            return repository
        _check_newer("targets", present, version)
    _check_version("targets", targets.signed, version)
    if targets.signed.targets:
        raise StatementMalformed("The targets metadata name targets of their own", expected="delegations only")
    delegations = targets.signed.delegations
    for name, role in ((delegations.roles or {}) if delegations else {}).items():
        if check_role(name) != role.name or not role.terminating or role.paths != delegated_paths(name):
            raise StatementMalformed(
                f"The delegation {name!r} is for {role.paths}",
                expected="a terminating one for NAME/*/*",
            )
    _verify(repository.root, "targets", targets)
    return replace(repository, targets=data)


def _with_model(repository: Repository, name: str, version: int, data: bytes) -> Repository:
    role = parse(data, Targets, f"role {name}")
    before = repository.model(name)
    if before is not None:
        if version == before.version and data == repository.models[name]:
            return repository
        _check_newer(name, before.version, version)
    _check_version(name, role.signed, version)
    if repository.delegated(name) is None:
        raise StatementMalformed(f"Nothing delegates to the role {name!r}", expected="a delegation in the targets")
    if role.signed.delegations is not None or any(
        path.count("/") != 2 or not path.startswith(f"{name}/") for path in role.signed.targets
    ):
        raise StatementMalformed(f"The role {name} speaks of what is not its own", expected=f"{name}/*/* only")
    _verify(repository.delegating, name, role)
    if before is not None:
        _check_history(name, before, role.signed)
    return replace(repository, models={**repository.models, name: data})


def _check_history(name: str, before: Targets, after: Targets) -> None:
    """A version may be withdrawn, as a whole; what stays of it stays as it is."""
    kept = {path.split("/")[1] for path in after.targets}
    for path, file in before.targets.items():
        if path.split("/")[1] in kept and after.targets.get(path) != file:
            raise Conflict(
                f"The role {name} changes {path}, which was released already",
                remedy="A version never changes: give the new bundles a new one, and build on the newest metadata.",
            )


def _check_whole(repository: Repository) -> None:
    if not repository.roots:
        return
    if repository.targets is None:
        raise StatementMalformed("There are no targets metadata beside the root")
    _verify(repository.root, "targets", parse(repository.targets, Targets, "targets"))
    delegations = repository.delegating.delegations
    delegated = set((delegations.roles or {}) if delegations else {})
    if delegated != set(repository.models):
        raise StatementMalformed(
            f"Delegated are {', '.join(sorted(delegated)) or 'no roles'}",
            expected=f"the roles that have metadata: {', '.join(sorted(repository.models)) or 'none'}",
        )
    for name, data in repository.models.items():
        _verify(repository.delegating, name, parse(data, Targets, f"role {name}"))


def _rank(role: str) -> int:
    return {"root": 0, "targets": 1}.get(role, 2)


def _verify(delegator: Root | Targets, role: str, metadata: Metadata[Any]) -> None:
    try:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (UnsignedMetadataError, RepositoryError, ValueError) as cause:
        raise SignatureInvalid(
            f"The {role} metadata, version {metadata.signed.version}, are not signed as they must be: {cause}",
            remedy="Sign them with the keys that this fleet was begun with: `edgefleet key list` shows yours.",
        ) from cause


def _check_version(role: str, signed: Signed, version: int) -> None:
    if signed.version != version:
        raise StatementMalformed(f"The {role} metadata say version {signed.version}", expected=str(version))


def _check_newer(role: str, present: int, version: int) -> None:
    if version == present:
        raise _forked(role, version)
    if version < present:
        raise Conflict(
            f"The {role} metadata have version {version}", expected=f"one above {present}, which is there already"
        )


def _forked(role: str, version: int) -> Conflict:
    return Conflict(
        f"Version {version} of the {role} metadata is there already, with other contents",
        remedy="Use the keys and the EDGEFLEET_HOME that this fleet was begun with; if two people pushed at once, "
        "push again.",
    )
