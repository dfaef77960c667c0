"""Writing a bundle file whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgefleet_contract.bundle import transfer_digest, write_bundle
from edgefleet_contract.errors import OutputUnwritable
from edgefleet_contract.manifest import Manifest


@dataclass(frozen=True)
class Packed:
    """A bundle that was written.

    Attributes:
        path: The file.
        digest: Its identity: the digest of its manifest.
        sha256: Of the file.
        bytes: Of the file.
    """

    path: Path
    digest: str
    sha256: str
    bytes: int


def write_file(path: Path, manifest: Manifest, files: Mapping[str, bytes | Path]) -> Packed:
    """Write a bundle beside its place, move it there, and say what was written.

    Raises:
        HashMismatch: Files that are not those of the manifest.
        BundleMalformed: Too many files or bytes.
        OutputUnwritable: The file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as destination:
            digest = write_bundle(destination, manifest, files)
        sha256, size = transfer_digest(partial)
        partial.replace(path)
    except OSError as cause:
        raise OutputUnwritable(f"{str(path)!r} cannot be written: {cause.strerror}", path=str(path)) from cause
    finally:
        partial.unlink(missing_ok=True)
    return Packed(path, digest, sha256, size)
