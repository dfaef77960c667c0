"""A bundle as a folder: ``manifest.json`` and the files that it lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgefleet_compiler.output import replaced_folder
from edgefleet_compiler.pack.file import Packed, write_file
from edgefleet_contract import manifest as manifests
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import BundleMalformed, OutputUnwritable
from edgefleet_contract.manifest import FileEntry, Manifest, SamplingPolicy

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Changes:
    """What a publisher sets when a bundle is packed again; None leaves it as it is."""

    security_floor: int | None = None
    sampling_rate: float | None = None
    samples_per_day: int | None = None


def unpack(bundle: Path, folder: Path) -> list[str]:
    """Unpack a bundle into a new folder, every hash checked.

    Args:
        bundle: The file.
        folder: Must not exist yet.

    Returns:
        The paths of the files, relative to the folder.

    Raises:
        BundleMalformed: No bundle.
        HashMismatch: Contents that are not those of the manifest.
        OutputUnwritable: The folder exists or cannot be written.
    """
    if folder.exists():
        raise OutputUnwritable(f"{str(folder)!r} exists already", expected="a folder that is not there yet")
    with Bundle(bundle) as opened, replaced_folder(folder) as fresh:
        (fresh / MANIFEST).write_bytes(opened.manifest_bytes)
        for entry in opened.manifest.files:
            place = fresh / entry.path
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as file:
                for chunk in opened.chunks(entry.path):
                    file.write(chunk)
        return [MANIFEST, *(entry.path for entry in opened.manifest.files)]


def pack(folder: Path, destination: Path | None, changes: Changes) -> Packed:
    """Pack an unpacked bundle; its files' hashes are taken anew.

    Args:
        folder: With ``manifest.json`` and the files that it lists.
        destination: The bundle; None names it after the manifest, beside the folder.
        changes: What to set.

    Raises:
        BundleMalformed: No manifest, or a file missing.
    """
    manifest = _changed(manifests.decode(_read(folder / MANIFEST)), changes)
    contents = {entry.path: _read(folder / entry.path) for entry in manifest.files}
    entries = [FileEntry(path, manifests.digest(data), len(data)) for path, data in contents.items()]
    manifest = msgspec.structs.replace(manifest, files=entries)
    name = f"{manifest.name}-{manifest.version}-{manifest.target}.efb"
    return write_file(destination or folder.absolute().parent / name, manifest, contents)


def _changed(manifest: Manifest, changes: Changes) -> Manifest:
    sampling = SamplingPolicy(
        rate=manifest.sampling.rate if changes.sampling_rate is None else changes.sampling_rate,
        max_per_day=manifest.sampling.max_per_day if changes.samples_per_day is None else changes.samples_per_day,
    )
    floor = manifest.security_floor if changes.security_floor is None else changes.security_floor
    return msgspec.structs.replace(manifest, security_floor=floor, sampling=sampling)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise BundleMalformed(
            f"{str(path)!r} cannot be read: {cause.strerror}", expected="a folder that `edgefleet bundle unpack` made"
        ) from cause
