"""The trust scheme ``tuf/1``: names, paths and our own fields in the metadata of a TUF repository. Pure, without TUF.

Source: The Update Framework specification 1.0.33, https://theupdateframework.github.io/specification/v1.0.33/.
The root (offline) names the keys of every other role, and in a signed field of ours the assignment keys. Targets
(offline) delegates each model to a role of the model's name; that role lists its bundles, so that the metadata of a
device speaks of its own model only. Snapshot and timestamp are signed online.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edgefleet_contract import keys
from edgefleet_contract.counting import Count
from edgefleet_contract.errors import MetadataMalformed, StatementMalformed, UsageMalformed
from edgefleet_contract.identifiers import check_name, is_digest
from edgefleet_contract.trust.floors import KeySet
from edgefleet_contract.trust.statements import Release, ReleasedBundle

EXTENSION = "x-edgefleet"  # the field of the root that names the assignment keys
SUFFIX = ".efb"

ROOT_LIFE = dt.timedelta(days=365)  # a yearly act with offline keys is bearable; a forgotten root must end some time
TARGETS_LIFE = dt.timedelta(days=365)  # signed by the same people at the same table; delegated roles as well
ONLINE_LIFE = dt.timedelta(days=7)  # longest freeze that goes unseen; a server may be down for a long week-end
ONLINE_RENEWAL = dt.timedelta(days=1)

ROOT_LIMIT = 32 * 1024  # bytes; these limits are those of single files
TIMESTAMP_LIMIT = 8 * 1024
SNAPSHOT_LIMIT = 64 * 1024
TARGETS_LIMIT = 192 * 1024  # about 580 bundles of one model

_TOP_ROLES = ("root", "targets", "snapshot", "timestamp")


# --- names -----------------------------------------------------------------------------------------------------------


def check_role(name: str) -> str:
    """``name`` if a model of this name can have a role of its own.

    Raises:
        UsageMalformed: It cannot.
    """
    if check_name(name) in _TOP_ROLES:
        raise UsageMalformed(
            f"The model's name is {name!r}", expected=f"another name than {', '.join(_TOP_ROLES)}, which are TUF's own"
        )
    return name


def target_path(name: str, version: str, target: str) -> str:
    """The path of a bundle in the repository."""
    return f"{name}/{version}/{target}{SUFFIX}"


def delegated_paths(name: str) -> list[str]:
    """The path patterns that targets delegates to the role of a model."""
    return [f"{name}/*/*"]


def metadata_name(role: str, version: int) -> str:
    """The file name of a role's metadata; the timestamp's has no version (consistent snapshots)."""
    return "timestamp.json" if role == "timestamp" else f"{version}.{role}.json"


# --- a bundle in its role's metadata ---------------------------------------------------------------------------------


class Custom(msgspec.Struct, frozen=True, omit_defaults=True):
    """The ``custom`` field of a target file: what hash and length do not say of a bundle."""

    name: str
    version: str
    target: str
    digest: str
    hardware: list[str]
    security_floor: Count
    issued: Count
    private: bool = False


def custom_of(release: Release, bundle: ReleasedBundle) -> dict[str, object]:
    """The ``custom`` field of a bundle."""
    custom = Custom(
        name=release.name,
        version=release.version,
        target=bundle.target,
        digest=bundle.digest,
        hardware=bundle.hardware,
        security_floor=release.security_floor,
        issued=release.issued,
        private=bundle.private,
    )
    plain: dict[str, object] = msgspec.to_builtins(custom)
    return plain


def released(path: str, length: int, hashes: Mapping[str, str], custom: object) -> tuple[Release, ReleasedBundle]:
    """The release and the bundle that a target file's entry speaks of.

    Raises:
        StatementMalformed: Its ``custom`` is not what the scheme says, or speaks of another path.
    """
    try:
        told = msgspec.convert(custom, Custom)
    except msgspec.ValidationError as cause:
        raise StatementMalformed(f"The entry of {path!r} does not decode: {cause}", expected="a bundle's") from cause
    sha256 = hashes.get("sha256", "")
    if target_path(told.name, told.version, told.target) != path or not is_digest(sha256):
        raise StatementMalformed(
            f"The entry of {path!r} speaks of {told.name} {told.version} for {told.target}",
            expected="the bundle of its path, with its SHA-256",
        )
    bundle = ReleasedBundle(told.target, told.hardware, told.digest, sha256, length, told.private)
    return Release(told.name, told.version, told.issued, told.security_floor), bundle


# --- the root --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signers:
    """Keys that sign statements of ours together; ``keys`` by the key id that an envelope names."""

    keyset: KeySet
    keys: Mapping[str, keys.PublicKey]


@dataclass(frozen=True)
class RootView:
    """What a root says, as far as it concerns us."""

    version: int
    assignment: Signers
    targets: Signers
    timestamp: KeySet
    snapshot: KeySet


class _KeyValue(msgspec.Struct, frozen=True):
    public: str


class _Key(msgspec.Struct, frozen=True):
    keytype: str
    scheme: str
    keyval: _KeyValue


class _AssignmentRole(msgspec.Struct, frozen=True):
    keyids: list[str]
    keys: dict[str, _Key]
    threshold: int


class _Extension(msgspec.Struct, frozen=True):
    assignment: _AssignmentRole


class _Signed(msgspec.Struct, frozen=True):
    version: int
    keys: dict[str, _Key]
    roles: dict[str, KeySet]
    consistent_snapshot: bool
    extension: _Extension = msgspec.field(name=EXTENSION)


class _Root(msgspec.Struct, frozen=True):
    signed: _Signed


def read_root(data: bytes) -> RootView:
    """What a root says; whether anybody signed it is for others to verify.

    Raises:
        MetadataMalformed: It is no root of this scheme.
    """
    if len(data) > ROOT_LIMIT:
        raise MetadataMalformed(f"The root has {len(data)} bytes", expected=f"at most {ROOT_LIMIT}")
    try:
        signed = msgspec.json.decode(data, type=_Root).signed
        roles = {role: signed.roles[role] for role in _TOP_ROLES}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as cause:
        raise MetadataMalformed(f"The root does not decode: {cause}", expected="a TUF root of ours") from cause
    if not signed.consistent_snapshot:
        raise MetadataMalformed("The root has no consistent snapshots", expected="consistent_snapshot: true")
    for role in roles.values():
        _signers(role, signed.keys)
    told = signed.extension.assignment
    return RootView(
        version=signed.version,
        assignment=_signers(KeySet(told.keyids, told.threshold), told.keys),
        targets=_signers(roles["targets"], signed.keys),
        timestamp=roles["timestamp"],
        snapshot=roles["snapshot"],
    )


def assignment_extension(public_keys: Mapping[str, Mapping[str, object]], threshold: int = 1) -> dict[str, object]:
    """The value of the root's field :data:`EXTENSION`.

    Args:
        public_keys: TUF keys in their JSON form, by TUF key id.
        threshold: How many of them must sign an assignment.
    """
    named = {keyid: dict(key) for keyid, key in public_keys.items()}
    return {"assignment": {"keyids": sorted(named), "keys": named, "threshold": threshold}}


def _signers(keyset: KeySet, known: Mapping[str, _Key]) -> Signers:
    """The keys of a role. One key under two ids would meet a threshold of two (TUF 1.0.33, 4.3)."""
    public = [_public_key(known, keyid) for keyid in set(keyset.keyids)]
    by_id = {keys.key_id(key): key for key in public}
    if not 1 <= keyset.threshold <= len(by_id) or len(by_id) != len(public) or len(public) != len(keyset.keyids):
        raise MetadataMalformed(
            f"The root names a role of {len(by_id)} keys with a threshold of {keyset.threshold}",
            expected="different keys, and a threshold that they can meet",
        )
    return Signers(keyset, by_id)


def _public_key(known: Mapping[str, _Key], keyid: str) -> keys.PublicKey:
    key = known.get(keyid)
    if key is None:
        raise MetadataMalformed(f"The root names the key {keyid!r} and does not hold it")
    try:
        if key.scheme == "ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval.public))
        if key.scheme == "ecdsa-sha2-nistp256":
            loaded = serialization.load_pem_public_key(key.keyval.public.encode())
            if isinstance(loaded, ec.EllipticCurvePublicKey) and isinstance(loaded.curve, ec.SECP256R1):
                return loaded
    except (ValueError, UnsupportedAlgorithm) as cause:
        raise MetadataMalformed(f"The key {keyid!r} of the root does not decode") from cause
    raise MetadataMalformed(
        f"The key {keyid!r} of the root is of the scheme {key.scheme!r}", expected="ed25519 or ecdsa-sha2-nistp256"
    )
