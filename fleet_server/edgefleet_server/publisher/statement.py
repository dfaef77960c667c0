"""What is to be signed of bundles: read from the files, which must be whole and belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgefleet_contract import trust
from edgefleet_contract.bundle import Bundle, transfer_digest
from edgefleet_contract.errors import UsageMalformed
from edgefleet_contract.trust.repository import check_role
from edgefleet_server.publisher.private import BundleSealer


@dataclass(frozen=True)
class StatedRelease:
    """What is said of bundles, not yet signed.

    Attributes:
        files: Each bundle with the file that is uploaded for it.
    """

    release: trust.Release
    files: list[tuple[trust.ReleasedBundle, Path]]

    @property
    def label(self) -> str:
        """How people name it."""
        return f"{self.release.name}@{self.release.version}"

    @property
    def bundles(self) -> list[trust.ReleasedBundle]:
        """What is said of each file."""
        return [bundle for bundle, _ in self.files]


def state_release(paths: Sequence[Path], now: int, sealer: BundleSealer | None = None) -> StatedRelease:
    """What is to be signed of the bundles in ``paths``, which must be of one name, version and security floor.

    Args:
        paths: ``.efb`` files.
        now: UTC milliseconds, for ``Release.issued``.
        sealer: Seals them, if the release is to be private: then the sealed files are what is uploaded.

    Raises:
        EdgefleetError: A file is no whole bundle, or they do not belong together.
    """
    files, labels = [], set()
    for path in paths:
        with Bundle(path) as bundle:
            bundle.verify()
            manifest = bundle.manifest
            labels.add((manifest.name, manifest.version, manifest.security_floor))
        uploaded = sealer.seal(path) if sealer else path
        sha256, size = transfer_digest(uploaded)
        stated = trust.ReleasedBundle(
            manifest.target, manifest.hardware, bundle.digest, sha256, size, private=sealer is not None
        )
        files.append((stated, uploaded))
    if len(labels) != 1:
        found = ", ".join(f"{name} {version} (floor {floor})" for name, version, floor in sorted(labels))
        raise UsageMalformed(
            f"The bundles are of {found or 'nothing'}",
            expected="bundles of one name, version and security floor",
            remedy="Push each release by itself.",
        )
    targets = [bundle.target for bundle, _ in files]
    if len(set(targets)) != len(targets):
        raise UsageMalformed(f"Two bundles are for one target: {', '.join(sorted(targets))}")
    name, version, floor = labels.pop()
    release = trust.Release(check_role(name), version, now, floor)
    return StatedRelease(release, files)
