"""Verifies the metadata of a proof with python-tuf's client. Import it where it is used: it costs 14 MB.

The client is given no metadata of earlier times but the root: what must not sink are floors, which belong to keys (see
``floors``), and which survive when the device's metadata do not. So the client's part is who signed what, what belongs
together, and until when it stands.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root, TargetFile, Targets
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from edgefleet_contract import canonical
from edgefleet_contract.errors import (
    MetadataExpired,
    MetadataIncomplete,
    MetadataMalformed,
    MetadataMismatch,
    MetadataOverlong,
    MetadataRolledBack,
    MetadataUnsigned,
    NotReleased,
    VerificationError,
)
from edgefleet_contract.trust import repository
from edgefleet_contract.trust.floors import Floor, KeySet, Speakers, height, living, raised
from edgefleet_contract.trust.proofs import Proof, roots_of
from edgefleet_contract.trust.repository import RootView
from edgefleet_contract.trust.statements import Release, ReleasedBundle

_BASE = "proof:/"  # names in a proof as the URLs that the client asks for
_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)
_END_MS = 253_402_300_799_000  # the last second that a date can name: by then all metadata have expired
_LIMITS = UpdaterConfig(
    max_root_rotations=1,  # the client gets the newest root, and looks for one more
    max_delegations=1,  # from targets to the role of a model, no further
    root_max_length=repository.ROOT_LIMIT,
    timestamp_max_length=repository.TIMESTAMP_LIMIT,
    snapshot_max_length=repository.SNAPSHOT_LIMIT,
    targets_max_length=repository.TARGETS_LIMIT,
)


@dataclass(frozen=True)
class FollowedRoot:
    """The newest root, followed from the pinned one.

    Attributes:
        data: Its exact bytes.
        sha256: Of what is signed in it.
        view: What it says.
    """

    data: bytes
    sha256: str
    view: RootView


@dataclass(frozen=True)
class Verified:
    """What a proof proves.

    Attributes:
        speakers: The key sets in force.
        floor: Raised to what was verified; entries of keys that are no more are gone.
        entries: What the role of the model lists, by path; empty if the proof has no path.
        release, bundle, delegation: What the path names, and the keys of its role; None if the proof has no path.
    """

    speakers: Speakers
    floor: Floor
    entries: Mapping[str, TargetFile]
    release: Release | None = None
    bundle: ReleasedBundle | None = None
    delegation: KeySet | None = None

    def listed(self) -> Iterator[tuple[Release, ReleasedBundle]]:
        """Every bundle of the model.

        Raises:
            StatementMalformed: An entry is not what the scheme says.
        """
        return (_released(entry) for entry in self.entries.values())


def follow_roots(proof: Proof, pinned: bytes, floor: Floor) -> FollowedRoot:
    """The newest root of a proof, if each root from the pinned one on was signed by the one before and by itself.

    Source: TUF 1.0.33, section 5.3. Expiry of the newest one is checked with what it signs.

    Raises:
        MetadataUnsigned: A root has too few signatures.
        MetadataRolledBack: The roots end before one that this device has followed.
        MetadataMismatch: Another root than the one followed under its number.
        MetadataMalformed: A root is missing between others, or is none of ours.
    """
    current = _load_root(pinned, None)
    offered = roots_of(proof)
    newest_offered = max(offered, default=1)
    if newest_offered < max(current.view.version, floor.root):
        raise MetadataRolledBack(
            f"The proof's newest root has version {newest_offered}",
            expected=f"at least {max(current.view.version, floor.root)}, which this device has followed",
        )
    _check_known(current, floor)
    for version, data in offered.items():
        if version > current.view.version:
            current = _load_root(data, current)
            _check_known(current, floor)
    return current


def verify_metadata(proof: Proof, root: FollowedRoot, floor: Floor, now: int) -> Verified:
    """Verify everything in a proof below its root; used by devices and by the server alike.

    Args:
        proof: As it came.
        root: From :func:`follow_roots`.
        floor: Of the device; an empty one checks the proof by itself.
        now: UTC milliseconds.

    Raises:
        MetadataUnsigned, MetadataExpired, MetadataMismatch, MetadataIncomplete, MetadataOverlong, MetadataMalformed:
            The metadata do not stand.
        MetadataRolledBack: They are older than what the floor has seen.
        NotReleased: They do not list the bundle of the proof's path.
    """
    with tempfile.TemporaryDirectory(prefix="edgefleet-trust-") as scratch, _explained():
        updater = Updater(scratch, _BASE, fetcher=_ProofFetcher(proof), config=_LIMITS, bootstrap=root.data)
        trusted = updater._trusted_set  # noqa: SLF001 - the client has no public clock; version pinned, use tested
        trusted.reference_time = _EPOCH + dt.timedelta(milliseconds=min(now, _END_MS))
        updater.refresh()
        info = updater.get_targetinfo(proof.path) if proof.path is not None else None
    model = "" if proof.path is None else proof.path.partition("/")[0]
    role = trusted.get(model)
    delegations = _delegations(trusted.targets)
    view = root.view
    speakers = Speakers(view.assignment.keyset, view.timestamp, view.snapshot, view.targets.keyset, delegations)
    versions = {
        "timestamp": trusted.timestamp.version,
        "snapshot": trusted.snapshot.version,
        "targets": trusted.targets.version,
    }
    if model in delegations and isinstance(role, Targets):
        versions[f"role/{model}"] = role.version
    standing = _raise_versions(living(floor, speakers), speakers, versions)
    standing = msgspec.structs.replace(standing, root=view.version, root_sha256=root.sha256)
    if proof.path is None:
        return Verified(speakers, standing, {})
    if info is None or not isinstance(role, Targets) or proof.path not in role.targets or model not in delegations:
        raise NotReleased(
            f"The publisher's metadata do not list {proof.path!r}",
            expected="a bundle that the role of its model lists",
            remedy="Push the release: `edgefleet release push`.",
        )
    release, bundle = _released(info)
    return Verified(speakers, standing, role.targets, release, bundle, delegations[model])


class _ProofFetcher(FetcherInterface):
    """Serves the client from a proof, all but the roots: it starts from the newest."""

    def __init__(self, proof: Proof) -> None:
        self._metadata = proof.metadata

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.removeprefix(_BASE)
        if name not in self._metadata or name.endswith(".root.json"):
            raise exceptions.DownloadHTTPError(f"the proof lacks {name}", 404)
        return iter([bytes(self._metadata[name])])


def _load_root(data: bytes, before: FollowedRoot | None) -> FollowedRoot:
    view = repository.read_root(data)
    with _explained():
        loaded = Metadata[Root].from_bytes(data)
        if before is not None:
            Metadata[Root].from_bytes(before.data).signed.verify_delegate(
                Root.type, loaded.signed_bytes, loaded.signatures
            )
        loaded.signed.verify_delegate(Root.type, loaded.signed_bytes, loaded.signatures)
    if before is not None and view.version != before.view.version + 1:
        raise MetadataMalformed(
            f"A root has version {view.version}", expected=f"{before.view.version + 1}: roots are followed one by one"
        )
    return FollowedRoot(data, canonical.sha256(loaded.signed_bytes), view)


def _check_known(root: FollowedRoot, floor: Floor) -> None:
    if root.view.version == floor.root and root.sha256 != floor.root_sha256:
        raise MetadataMismatch(
            f"The root of version {floor.root} is not the one that this device has followed",
            remedy="An old root key signed another root of that number: treat that key as stolen.",
        )


def _delegations(targets: Targets) -> dict[str, KeySet]:
    roles = targets.delegations.roles if targets.delegations is not None else None
    return {name: KeySet(list(role.keyids), role.threshold) for name, role in (roles or {}).items()}


def _raise_versions(floor: Floor, speakers: Speakers, versions: Mapping[str, int]) -> Floor:
    for what, version in versions.items():
        keyset = speakers.of(what)
        assert keyset is not None
        lowest = height(floor, what, keyset)
        if version < lowest:
            raise MetadataRolledBack(
                f"The {what} metadata have version {version}",
                expected=f"at least {lowest}, which this device has accepted",
                remedy="Old metadata were replayed, or a restored server forgot newer ones.",
            )
        floor = raised(floor, what, keyset, version)
    return floor


def _released(entry: TargetFile) -> tuple[Release, ReleasedBundle]:
    return repository.released(entry.path, entry.length, entry.hashes, entry.custom)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what python-tuf says into our errors."""
    try:
        yield
    except (exceptions.RepositoryError, exceptions.DownloadError) as cause:
        raise _explanation(cause) from cause


def _explanation(cause: Exception) -> VerificationError:
    match cause:
        case exceptions.UnsignedMetadataError():
            return MetadataUnsigned(
                f"Too few keys of the role signed: {cause}", remedy="Use what the holders of the role's keys signed."
            )
        case exceptions.ExpiredMetadataError():
            return MetadataExpired(
                f"The metadata are out of date: {cause}",
                remedy="Check the server and this device's clock; what is signed offline, the publisher renews.",
            )
        case exceptions.BadVersionNumberError() | exceptions.LengthOrHashMismatchError():
            return MetadataMismatch(
                f"The metadata do not belong together: {cause}", expected="one state of the repository"
            )
        case exceptions.DownloadLengthMismatchError():
            return MetadataOverlong(f"A file of the metadata is too long: {cause}")
        case exceptions.DownloadHTTPError():
            return MetadataIncomplete(f"Metadata are missing: {cause}", expected="everything that they name")
    return MetadataMalformed(f"The metadata do not stand: {cause}", expected="those of a TUF repository of ours")
