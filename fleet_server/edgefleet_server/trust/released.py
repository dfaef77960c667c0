"""Released bundles as the targets of their model's role."""

from __future__ import annotations

from tuf.api.metadata import TargetFile, Targets

from edgefleet_contract import trust
from edgefleet_contract.trust.repository import custom_of, released, target_path


def as_target(release: trust.Release, bundle: trust.ReleasedBundle) -> TargetFile:
    """The bundle as TUF metadata name it."""
    path = target_path(release.name, release.version, bundle.target)
    return TargetFile(bundle.bytes, {"sha256": bundle.sha256}, path, {"custom": custom_of(release, bundle)})


def releases(role: Targets | None) -> list[tuple[trust.Release, trust.ReleasedBundle]]:
    """Every bundle that a model's role speaks of, with its release, ordered by path.

    Raises:
        StatementMalformed: An entry does not say what the scheme wants.
    """
    entries = sorted(role.targets.items()) if role is not None else []
    return [released(path, file.length, file.hashes, file.custom) for path, file in entries]


def labels(role: Targets | None) -> list[str]:
    """NAME@VERSION of every release that a model's role speaks of; by the paths alone, whatever else a thief wrote."""
    parts = [path.split("/") for path in role.targets] if role is not None else []
    return sorted({f"{name}@{version}" for name, version, _ in parts})


def bundles(role: Targets | None, version: str) -> tuple[trust.Release | None, list[trust.ReleasedBundle]]:
    """One version of a model and its bundles, ordered by target; None and nothing when the role has no such version.

    Raises:
        StatementMalformed: As :func:`releases`.
    """
    found = [(release, bundle) for release, bundle in releases(role) if release.version == version]
    return (found[0][0] if found else None), [bundle for _, bundle in found]
