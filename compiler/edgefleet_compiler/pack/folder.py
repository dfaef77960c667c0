"""A bundle as a folder: ``manifest.json`` and the files that it lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgefleet_compiler.output import replaced_folder
from edgefleet_compiler.pack.file import Packed, write_file
from edgefleet_contract import manifest as manifests
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import BundleMalformed, HashMismatch, OutputUnwritable
from edgefleet_contract.manifest import Consent, FileEntry, Manifest, SamplingPolicy

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Changes:
    """What a publisher sets when a bundle is packed again; None leaves it as it is."""

    security_floor: int | None = None
    sampling_rate: float | None = None
    samples_per_day: int | None = None
    consent: Consent | None = None


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
    """Pack an unpacked bundle; its files must be the ones that its manifest lists.

    The quality and the golden vectors of a manifest are claims about these very files: another model needs another
    compilation.

    Args:
        folder: With ``manifest.json`` and the files that it lists, and no others.
        destination: The bundle; None names it after the manifest, beside the folder.
        changes: What to set.

    Raises:
        BundleMalformed: No manifest, a file missing, or one too many.
        HashMismatch: A file that was changed.
    """
    manifest = _changed(manifests.decode(_read(folder / MANIFEST)), changes)
    _check_no_strangers(folder, manifest)
    contents = {entry.path: _read_unchanged(folder, entry) for entry in manifest.files}
    name = f"{manifest.name}-{manifest.version}-{manifest.target}.efb"
    return write_file(destination or folder.absolute().parent / name, manifest, contents)


def _changed(manifest: Manifest, changes: Changes) -> Manifest:
    sampling = SamplingPolicy(
        rate=manifest.sampling.rate if changes.sampling_rate is None else changes.sampling_rate,
        max_per_day=manifest.sampling.max_per_day if changes.samples_per_day is None else changes.samples_per_day,
        consent=changes.consent or manifest.sampling.consent,
    )
    floor = manifest.security_floor if changes.security_floor is None else changes.security_floor
    return msgspec.structs.replace(manifest, security_floor=floor, sampling=sampling)


def _check_no_strangers(folder: Path, manifest: Manifest) -> None:
    listed = {MANIFEST, *(entry.path for entry in manifest.files)}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if strangers := sorted(found - listed):
        raise BundleMalformed(
            f"The folder {str(folder)!r} holds files that its manifest does not list: {strangers}",
            expected="a folder that `edgefleet bundle unpack` made",
            remedy="Take them out: a bundle has no place for them.",
            files=strangers,
        )


def _read_unchanged(folder: Path, entry: FileEntry) -> bytes:
    data = _read(folder / entry.path)
    if manifests.digest(data) != entry.sha256:
        raise HashMismatch(
            f"The file {entry.path!r} is not the one that the manifest lists",
            expected=f"SHA-256 {entry.sha256}",
            remedy="Unpack the bundle again; what the manifest says of a model holds for no other, so compile that.",
            path=entry.path,
        )
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise BundleMalformed(
            f"{str(path)!r} cannot be read: {cause.strerror}", expected="a folder that `edgefleet bundle unpack` made"
        ) from cause
