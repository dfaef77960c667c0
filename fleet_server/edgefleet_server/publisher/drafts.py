"""What new metadata say: the first set, a release, replaced keys, later expiry. Pure; who signs is for ``Draft``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from securesystemslib.signer import Key
from tuf.api.metadata import DelegatedRole, Delegations, Role, Root, Targets

from edgefleet_contract.errors import Conflict, NotFound, UsageMalformed
from edgefleet_contract.trust.history import ISSUED_AHEAD_MS
from edgefleet_contract.trust.repository import (
    EXTENSION,
    ROOT_LIFE,
    TARGETS_LIFE,
    TARGETS_LIMIT,
    assignment_extension,
    delegated_paths,
    metadata_name,
)
from edgefleet_server.clock import as_datetime
from edgefleet_server.publisher.draft import Draft, drafted
from edgefleet_server.publisher.statement import StatedRelease
from edgefleet_server.trust import released
from edgefleet_server.trust.repository import Repository, parse
from edgefleet_server.trust.server_keys import ASSIGNMENT, ONLINE, ServerKeys

_SIGNATURES = 4096  # bytes of a role's metadata that are left for them
Keys = Sequence[Key]
FIRST = "the first trust root"


def first(base: Repository, root: tuple[Keys, int], targets: tuple[Keys, int], server: ServerKeys, now: int) -> Draft:
    """The first root and the first targets metadata.

    Args:
        base: Empty.
        root: Its keys, and how many of them must sign.
        targets: The same.
        server: The server's public keys.
        now: UTC milliseconds.
    """
    signed = Root(version=1, expires=_expiry(now, ROOT_LIFE), consistent_snapshot=True)
    _set_keys(signed, "root", *root)
    _set_keys(signed, "targets", *targets)
    _set_server_keys(signed, server, (ONLINE, ASSIGNMENT))
    says = Targets(version=1, expires=_expiry(now), delegations=Delegations({}, {}))
    return drafted(FIRST, base, ("root", signed), ("targets", says))


def release(base: Repository, stated: StatedRelease, model_keys: tuple[Keys, int] | None, now: int) -> Draft:
    """The role of a model with one release more; nothing new when it speaks of it already.

    Args:
        base: What it builds on.
        stated: The release.
        model_keys: Keys of the model's own, and how many must sign; None takes those of targets, or those it has.
        now: UTC milliseconds.

    Raises:
        Conflict: The version stands for other bundles, or this machine's clock lags behind the releases of before.
        UsageMalformed: The model would have too many releases for one message.
    """
    about, name = f"release {stated.label}", stated.release.name
    before = base.model(name)
    _, present = released.bundles(before, stated.release.version)
    if present:
        if {bundle.digest for bundle in present} != {bundle.digest for bundle in stated.bundles}:
            raise Conflict(
                f"The release {stated.label} is there already, with other bundles",
                remedy="A version never changes: give the new bundles a new one.",
            )
        if {bundle.sha256 for bundle in present} != {bundle.sha256 for bundle in stated.bundles}:
            raise Conflict(
                f"The release {stated.label} is there already, and the files are sealed otherwise",
                expected="--private if it was pushed so, and the content keys of that push",
                remedy="Push it from the machine that pushed it first, or give the bundles a new version.",
            )
        return Draft(about, base, {})
    newest = max((older.issued for older, _ in released.releases(before)), default=0)
    if newest > now + ISSUED_AHEAD_MS:
        raise Conflict(
            f"A release of {name} was issued at {newest} ms, and it is {now} ms by this machine's clock",
            expected="a clock that is right: each release is issued after the one before",
            remedy="Set the clock of this machine right.",
        )
    issued = msgspec.structs.replace(stated.release, issued=max(now, newest + 1))
    files = [released.as_target(issued, bundle) for bundle in stated.bundles]
    says = Targets(
        version=before.version + 1 if before else 1,
        expires=_expiry(now),
        targets={**(before.targets if before else {}), **{file.path: file for file in files}},
    )
    draft = drafted(about, base, *_delegating(base, name, model_keys, now), (name, says))
    size = len(draft.files()[metadata_name(name, says.version)])
    if size > TARGETS_LIMIT - _SIGNATURES:
        raise UsageMalformed(
            f"The releases of {name} would take {size} bytes of metadata",
            expected=f"less than {TARGETS_LIMIT}, so that a device takes them in one message",
            remedy="Go on under another name of the model.",
        )
    return draft


def withdrawal(base: Repository, label: str, now: int) -> Draft:
    """The role of a model without one of its releases.

    Args:
        base: What it builds on.
        label: NAME@VERSION.
        now: UTC milliseconds.

    Raises:
        NotFound: The role does not speak of it.
    """
    name, _, version = label.rpartition("@")
    role = base.model(name)
    if role is None or label not in released.labels(role):
        raise NotFound(
            f"The publisher's metadata do not speak of {label!r}", remedy="`edgefleet release list` shows releases."
        )
    _renew(role, now)
    role.targets = {path: file for path, file in role.targets.items() if path.split("/")[1] != version}
    return drafted(f"withdrawal of {label}", base, (name, role))


def rotation(
    base: Repository, offline: Mapping[str, tuple[Keys, int]], server: ServerKeys, online: Sequence[str], now: int
) -> Draft:
    """A new root that names other keys, and whatever must be signed again for it.

    Args:
        base: What it builds on.
        offline: New keys of "root" and "targets", and how many of them must sign; those left out stay.
        server: The server's public keys.
        online: Which of them are to be named anew: "online", "assignment".
        now: UTC milliseconds.
    """
    root, before = base.root, list(base.root.roles["targets"].keyids)
    _renew(root, now)
    for role, (keys, threshold) in offline.items():
        _set_keys(root, role, keys, threshold)
    _set_server_keys(root, server, online)
    roles: list[tuple[str, Any]] = [("root", root)]
    if "targets" in offline:
        targets = base.delegating
        _renew(targets, now)
        for name, delegated in _roles(targets).items():
            if sorted(delegated.keyids) == sorted(before):
                _delegate(targets, name, *offline["targets"])
                roles.append((name, _renewed_model(base, name, now)))
        roles.insert(1, ("targets", targets))
    return drafted(f"new keys for {', '.join([*offline, *online])}", base, *roles)


def model_rotation(base: Repository, name: str, keys: tuple[Keys, int], now: int) -> Draft:
    """Targets metadata that let ``keys``, and no others, speak for a model; its role is signed again by them.

    Args:
        base: What it builds on; with that model.
        name: Of the model.
        keys: Its new keys, and how many of them must sign.
        now: UTC milliseconds.
    """
    targets = base.delegating
    _renew(targets, now)
    _delegate(targets, name, *keys)
    return drafted(f"new keys for {name}", base, ("targets", targets), (name, _renewed_model(base, name, now)))


def signed_again(base: Repository, role: str) -> list[str]:
    """NAME@VERSION of each release that new keys of "targets" or ``model/NAME`` sign again."""
    chosen = set(base.models) - set(own_keys(base)) if role == "targets" else {role.removeprefix("model/")}
    return [label for name in sorted(chosen) for label in released.labels(base.model(name))]


def own_keys(base: Repository) -> dict[str, list[str]]:
    """The models for which others than the targets keys speak, with the ids of these."""
    speaking = sorted(base.root.roles["targets"].keyids)
    return {name: said.keyids for name, said in _roles(base.delegating).items() if sorted(said.keyids) != speaking}


def renewal(base: Repository, before: int, now: int) -> Draft:
    """Everything that expires before ``before`` (UTC milliseconds) once more, with a later date."""
    limit, roles = as_datetime(before), list[tuple[str, Any]]()
    root, targets = base.root, base.delegating
    if root.expires < limit:
        _renew(root, now)
        roles.append(("root", root))
    if targets.expires < limit:
        _renew(targets, now)
        roles.append(("targets", targets))
    for name in base.models:
        model = base.model(name)
        if model is not None and model.expires < limit:
            roles.append((name, _renewed_model(base, name, now)))
    return drafted(f"renewal of {', '.join(name for name, _ in roles)}", base, *roles)


def _delegating(
    base: Repository, name: str, model_keys: tuple[Keys, int] | None, now: int
) -> list[tuple[str, Targets]]:
    """Targets metadata that delegate to a model that has no keys of its own yet; none where it has, or gets none.

    Keys of its own stay until a rotation names others: not every key that was ever made for it is still good.
    """
    targets, role = base.delegating, base.root.roles["targets"]
    present = base.delegated(name)
    if present is not None and (model_keys is None or sorted(present.keyids) != sorted(role.keyids)):
        return []
    keys, threshold = model_keys or ([base.root.keys[key_id] for key_id in role.keyids], role.threshold)
    _renew(targets, now)
    _delegate(targets, name, keys, threshold)
    return [("targets", targets)]


def _delegate(targets: Targets, name: str, keys: Keys, threshold: int) -> None:
    """Let ``keys`` speak for a model; keys that speak for none any more are dropped."""
    roles = _roles(targets)
    roles[name] = DelegatedRole(
        name, [key.keyid for key in keys], threshold, terminating=True, paths=delegated_paths(name)
    )
    known = (targets.delegations.keys if targets.delegations else {}) | {key.keyid: key for key in keys}
    used = {key_id for role in roles.values() for key_id in role.keyids}
    targets.delegations = Delegations({key_id: key for key_id, key in known.items() if key_id in used}, roles)


def _roles(targets: Targets) -> dict[str, DelegatedRole]:
    return dict((targets.delegations.roles or {}) if targets.delegations else {})


def _renewed_model(base: Repository, name: str, now: int) -> Targets:
    model = parse(base.models[name], Targets, f"role {name}").signed
    _renew(model, now)
    return model


def _renew(signed: Root | Targets, now: int) -> None:
    signed.version += 1
    signed.expires = _expiry(now, ROOT_LIFE if isinstance(signed, Root) else TARGETS_LIFE)


def _set_keys(root: Root, role: str, keys: Keys, threshold: int) -> None:
    for key_id in list(root.roles[role].keyids):
        root.revoke_key(key_id, role)
    for key in keys:
        root.add_key(key, role)
    root.roles[role] = Role([key.keyid for key in keys], threshold)


def _set_server_keys(root: Root, server: ServerKeys, roles: Sequence[str]) -> None:
    if ONLINE in roles:
        for role in ("snapshot", "timestamp"):
            _set_keys(root, role, [server.key(ONLINE)], 1)
    if ASSIGNMENT in roles:
        key = server.key(ASSIGNMENT)
        root.unrecognized_fields[EXTENSION] = assignment_extension({key.keyid: key.to_dict()})


def _expiry(now: int, life: timedelta = TARGETS_LIFE) -> datetime:
    return as_datetime(now) + life
