"""A small trust repository in memory: signs what a publisher and a server sign, and makes proofs of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from edgefleet_contract import canonical, dsse, keys, trust
from edgefleet_contract.trust import repository
from edgefleet_contract.trust.statements import Permit, Release, ReleasedBundle

FAR_AHEAD = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Holders:
    """The private keys of a role, and how many of them must sign."""

    private: tuple[keys.PrivateKey, ...]
    threshold: int = 1

    @classmethod
    def fresh(cls, count: int = 1, threshold: int = 1) -> Holders:
        return cls(tuple(keys.generate() for _ in range(count)), threshold)

    @property
    def public(self) -> dict[str, Key]:
        signers = [CryptoSigner(key) for key in self.private]
        return {signer.public_key.keyid: signer.public_key for signer in signers}

    @property
    def role(self) -> Role:
        return Role(sorted(self.public), self.threshold)


@dataclass
class TufRepository:
    """One state after the other of a repository; ``proof`` speaks of the newest.

    Attributes:
        expires: By role, where it is not far ahead.
        versions: By role; set one to skip or to repeat.
    """

    root: Holders = field(default_factory=Holders.fresh)
    targets: Holders = field(default_factory=Holders.fresh)
    timestamp: Holders = field(default_factory=Holders.fresh)
    snapshot: Holders | None = None
    assignment: Holders = field(default_factory=Holders.fresh)
    delegated: dict[str, Holders] = field(default_factory=dict)
    expires: dict[str, dt.datetime] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    entries: dict[str, TargetFile] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.snapshot = self.snapshot or self.timestamp
        self.replace_keys()

    # --- what the publisher does -------------------------------------------------------------------------------------

    def replace_keys(self, **roles: Holders) -> None:
        """Sign the next root, with other keys for some roles; the keys of the root before sign it too."""
        before = self.root
        for role, holders in roles.items():
            setattr(self, role, holders)
        root = Root(self._next("root"), expires=self._expires("root"), consistent_snapshot=True)
        for role in ("root", "targets", "snapshot", "timestamp"):
            holders: Holders = getattr(self, role)
            root.roles[role] = holders.role
            root.keys.update(holders.public)
        public = {keyid: key.to_dict() for keyid, key in self.assignment.public.items()}
        extension = repository.assignment_extension(public, self.assignment.threshold)
        root.unrecognized_fields[repository.EXTENSION] = extension
        signers = dict.fromkeys((*before.private, *self.root.private))
        self.roots[root.version] = _signed(root, tuple(signers))
        self.sign_all()

    def live_from(self, now: int) -> None:
        """Sign everything anew, for as long as publisher and server do, from ``now`` (UTC milliseconds) on."""
        start = dt.datetime.fromtimestamp(now / 1000, dt.UTC)
        offline = ("root", "targets", *(f"role/{model}" for model in self.models))
        self.expires = dict.fromkeys(("snapshot", "timestamp"), start + repository.ONLINE_LIFE)
        self.expires |= dict.fromkeys(offline, start + repository.TARGETS_LIFE)
        self.sign_all(*offline[2:])

    def release(self, release: Release, *bundles: ReleasedBundle) -> str:
        """Add a release to the role of its model; returns the path of its first bundle."""
        paths = []
        for bundle in bundles:
            path = repository.target_path(release.name, release.version, bundle.target)
            custom = {"custom": repository.custom_of(release, bundle)}
            self.entries[path] = TargetFile(bundle.bytes, {"sha256": bundle.sha256}, path, custom)
            paths.append(path)
        self.sign_all(f"role/{release.name}")
        return paths[0]

    def permit(self, devices: Sequence[str], digest: str, expires: int) -> bytes:
        """A permit by all targets keys."""
        statement = Permit(trust.VERSION, list(devices), digest, expires)
        return dsse.sign(canonical.encode(statement), dsse.PERMIT, self.targets.private)

    # --- what the server does ----------------------------------------------------------------------------------------

    def sign_all(self, *newer: str) -> None:
        """Sign everything below the root; ``targets``, snapshot, timestamp and the ``newer`` roles as new versions."""
        for what in ("targets", *newer):
            self._next(what)
        self.sign_online()

    def sign_online(self) -> None:
        """Sign snapshot and timestamp as new versions."""
        self._next("snapshot")
        self._next("timestamp")

    def proof(self, path: str | None = None, permit: bytes | None = None) -> bytes:
        """What a desired twin carries."""
        return trust.encode_proof(self.metadata(path), path, permit)

    def metadata(self, path: str | None = None) -> dict[str, bytes]:
        """Every file of a proof by name."""
        model = path.partition("/")[0] if path else None
        files = {f"{version}.root.json": data for version, data in self.roots.items() if version > 1}
        files["timestamp.json"] = _signed(self._timestamp(), self.timestamp.private)
        assert self.snapshot is not None
        files[self._name("snapshot")] = _signed(self._snapshot(), self.snapshot.private)
        files[self._name("targets")] = _signed(self._targets(), self.targets.private)
        if model in self.models:
            name = repository.metadata_name(model, self.versions[f"role/{model}"])
            files[name] = _signed(self._role(model), self.holders_of(model).private)
        return files

    def assign(self, assignment: trust.Assignment) -> bytes:
        """The assignment in its envelope."""
        return dsse.sign(canonical.encode(assignment), dsse.ASSIGNMENT, self.assignment.private)

    # --- what there is -----------------------------------------------------------------------------------------------

    @property
    def first_root(self) -> bytes:
        return self.roots[1]

    @property
    def models(self) -> list[str]:
        return sorted({path.partition("/")[0] for path in self.entries})

    def holders_of(self, model: str) -> Holders:
        return self.delegated.get(model, self.targets)

    def copy(self) -> TufRepository:
        """A repository that goes its own way from here: a thief's, or a restored server's."""
        fields = ("delegated", "expires", "versions", "entries", "roots")
        other = replace(self, roots={1: b""}, versions={})
        for name in fields:
            setattr(other, name, dict(getattr(self, name)))
        return other

    # --- metadata ----------------------------------------------------------------------------------------------------

    def _timestamp(self) -> Timestamp:
        meta = MetaFile(self.versions["snapshot"])
        return Timestamp(self.versions["timestamp"], expires=self._expires("timestamp"), snapshot_meta=meta)

    def _snapshot(self) -> Snapshot:
        meta = {"targets.json": MetaFile(self.versions["targets"])}
        meta |= {f"{model}.json": MetaFile(self.versions[f"role/{model}"]) for model in self.models}
        return Snapshot(self.versions["snapshot"], expires=self._expires("snapshot"), meta=meta)

    def _targets(self) -> Targets:
        public, roles = {}, {}
        for model in self.models:
            holders = self.holders_of(model)
            public.update(holders.public)
            roles[model] = DelegatedRole(
                model, holders.role.keyids, holders.threshold, True, paths=repository.delegated_paths(model)
            )
        delegations = Delegations(public, roles)
        return Targets(self.versions["targets"], expires=self._expires("targets"), delegations=delegations)

    def _role(self, model: str) -> Targets:
        listed = {path: entry for path, entry in self.entries.items() if path.startswith(f"{model}/")}
        return Targets(self.versions[f"role/{model}"], expires=self._expires(f"role/{model}"), targets=listed)

    def _name(self, role: str) -> str:
        return repository.metadata_name(role, self.versions[role])

    def _next(self, what: str) -> int:
        self.versions[what] = self.versions.get(what, 0) + 1
        return self.versions[what]

    def _expires(self, what: str) -> dt.datetime:
        return self.expires.get(what, FAR_AHEAD)


def _signed(payload: Signed, private: Sequence[keys.PrivateKey]) -> bytes:
    metadata = Metadata(payload)
    for key in private:
        metadata.sign(CryptoSigner(key), append=True)
    return metadata.to_bytes()
