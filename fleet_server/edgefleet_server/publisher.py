"""The publisher's keys, on the operator's machine: they sign releases there, and never enter a server.

``$EDGEFLEET_HOME`` (see ``home``) holds ``keys/root.pem`` and ``keys/targets.pem``, readable by their owner alone, and
``root.json``, the trust root that devices pin. Made at the first push, claim token or ``key init``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgefleet_contract import canonical, dsse, keys, trust
from edgefleet_contract.bundle import Bundle, transfer_digest
from edgefleet_contract.errors import InputError, OutputUnwritable, UsageMalformed
from edgefleet_contract.trust import Release, ReleasedBundle, Root
from edgefleet_server.data_folder import make_private, write_durable

ROLES = ("root", "targets")


@dataclass(frozen=True)
class StatedRelease:
    """What is said of bundles, not yet signed.

    Attributes:
        files: Each bundle with where it lies.
    """

    release: Release
    files: list[tuple[ReleasedBundle, Path]]


@dataclass(frozen=True)
class SignedRelease:
    """A release statement and the files it speaks of.

    Attributes:
        statement: DSSE envelope.
        files: Each bundle with where it lies.
    """

    release: Release
    statement: bytes
    files: list[tuple[ReleasedBundle, Path]]


class Publisher:
    """The keys of one folder.

    Args:
        folder: The operator's own (see ``home``).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root_path = folder / "root.json"

    def key_path(self, role: str) -> Path:
        """Where the private key of a role lies."""
        return self._folder / "keys" / f"{role}.pem"

    @property
    def has_keys(self) -> bool:
        """Whether there is a complete set."""
        return self._root_path.exists()

    def ensure(self) -> bool:
        """Make a set of keys and sign the trust root, if there is none; returns whether it did.

        Raises:
            OutputUnwritable: The folder cannot be written.
        """
        if self.has_keys:
            return False
        try:
            make_private(self._folder)
            make_private(self.key_path("root").parent)
            made = {}
            for role in ROLES:
                made[role] = keys.generate()
                write_durable(self.key_path(role), keys.to_pem(made[role]))
            root = Root(
                v=trust.VERSION,
                root=keys.public_text(made["root"].public_key()),
                scheme=trust.SCHEME,
                targets=[keys.public_text(made["targets"].public_key())],
                threshold=1,
            )
            # The root comes last: it makes the set complete.
            write_durable(self._root_path, dsse.sign(canonical.encode(root), dsse.ROOT, [made["root"]]))
        except OSError as cause:
            raise OutputUnwritable(
                f"The keys cannot be written to {str(self._folder)!r}: {cause.strerror}",
                remedy="Set EDGEFLEET_HOME to a folder of yours.",
            ) from cause
        return True

    def root_envelope(self) -> bytes:
        """The signed trust root.

        Raises:
            InputError: There is none.
        """
        try:
            return self._root_path.read_bytes()
        except OSError as cause:
            raise InputError(
                f"There is no trust root in {str(self._folder)!r}", remedy="Make one: `edgefleet key init`."
            ) from cause

    def root(self) -> Root:
        """The trust root, verified."""
        return trust.open_root(self.root_envelope())

    def sign_release(self, stated: StatedRelease) -> SignedRelease:
        """Sign a release.

        Raises:
            InputError: The key is not there.
        """
        statement = dsse.sign(canonical.encode(stated.release), dsse.RELEASE, [self._targets_key()])
        return SignedRelease(stated.release, statement, stated.files)

    def _targets_key(self) -> keys.PrivateKey:
        path = self.key_path("targets")
        try:
            return keys.from_pem(path.read_bytes())
        except OSError as cause:
            raise InputError(
                f"The targets key {str(path)!r} cannot be read: {cause.strerror}",
                remedy="Bring the key back from where it is kept, or set EDGEFLEET_HOME to the folder that has it.",
            ) from cause


def state_release(paths: Sequence[Path], now: int) -> StatedRelease:
    """What is to be signed of the bundles in ``paths``, which must be of one name, version and security floor.

    Args:
        paths: ``.efb`` files.
        now: UTC milliseconds, for ``Release.issued``.

    Raises:
        EdgefleetError: A file is no whole bundle, or they do not belong together.
    """
    bundles, labels = [], set()
    for path in paths:
        with Bundle(path) as bundle:
            bundle.verify()
            manifest = bundle.manifest
            labels.add((manifest.name, manifest.version, manifest.security_floor))
            sha256, size = transfer_digest(path)
            bundles.append(ReleasedBundle(manifest.target, manifest.hardware, bundle.digest, sha256, size))
    if len(labels) != 1:
        found = ", ".join(f"{name} {version} (floor {floor})" for name, version, floor in sorted(labels))
        raise UsageMalformed(
            f"The bundles are of {found or 'nothing'}",
            expected="bundles of one name, version and security floor",
            remedy="Push each release by itself.",
        )
    targets = [bundle.target for bundle in bundles]
    if len(set(targets)) != len(targets):
        raise UsageMalformed(f"Two bundles are for one target: {', '.join(sorted(targets))}")
    name, version, floor = labels.pop()
    release = Release(trust.VERSION, name, version, now, floor, bundles)
    return StatedRelease(release, list(zip(bundles, paths, strict=True)))
