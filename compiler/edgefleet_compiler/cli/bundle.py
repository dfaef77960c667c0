"""``edgefleet bundle``: pack, show, verify and unpack bundle files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from edgefleet_compiler.cli.show import Json, print_json, stdout
from edgefleet_compiler.pack.consent import read_consent
from edgefleet_compiler.pack.folder import Changes, pack, unpack
from edgefleet_compiler.pack.provenance import check_provenance
from edgefleet_contract import keys
from edgefleet_contract.bundle import Bundle, transfer_digest
from edgefleet_contract.manifest import Manifest
from edgefleet_hardware.units import format_bytes

app = typer.Typer(help="Bundles: what travels to devices.", no_args_is_help=True, add_completion=False)

File = Annotated[Path, typer.Argument(help="A bundle (.efb).", metavar="BUNDLE")]


@app.command("show")
def show_bundle(bundle: File, json: Json = False) -> None:
    """Show what a bundle says of itself."""
    with Bundle(bundle) as opened:
        manifest, digest = opened.manifest, opened.digest
    sha256, size = transfer_digest(bundle)
    if json:
        print_json({"digest": digest, "sha256": sha256, "bytes": size, "manifest": manifest})
        return
    console = stdout()
    console.print(f"[bold]{escape(manifest.name)} {manifest.version}[/bold] for {manifest.target}")
    console.print(f"digest    {digest}")
    console.print(f"file      {sha256}, {format_bytes(size)}")
    console.print(
        f"runs on   {', '.join(manifest.hardware)} with {manifest.runtime.name} >= {manifest.runtime.min_version}"
    )
    for role, tensors in (("input", manifest.inputs), ("output", manifest.outputs)):
        for tensor in tensors:
            shape = " x ".join(map(str, tensor.shape))
            console.print(f"{role:<9} {escape(tensor.name)}: {shape} {tensor.dtype} {tensor.axes}".rstrip())
    _print_quality(manifest)
    _print_policy(manifest)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("file", "bytes", "sha256"):
        table.add_column(heading, justify="right" if heading == "bytes" else "left")
    for entry in manifest.files:
        table.add_row(entry.path, f"{entry.bytes:,}", entry.sha256)
    console.print(table)


@app.command("verify")
def verify_bundle(
    bundle: File,
    *,
    source: Annotated[
        Path | None,
        typer.Option(help="The model that it was made from: recheck the certificate of lossless pruning against it."),
    ] = None,
    json: Json = False,
) -> None:
    """Read a bundle whole and check every hash; exit status 4 if one is wrong."""
    with Bundle(bundle) as opened:
        opened.verify()
        digest, files = opened.digest, len(opened.manifest.files)
        provenance = None if source is None else check_provenance(opened, source)
    if json:
        print_json({"verified": True, "digest": digest, "files": files, "source": provenance})
        return
    typer.echo(f"verified: {files} files, digest {digest}")
    if provenance is not None:
        typer.echo(f"source {provenance.path}: {provenance.says}")
    if provenance is not None and provenance.dialects:
        typer.echo(
            f"{provenance.removed_channels:,} channels were taken out; outputs are the same, bit for bit, in "
            f"{', '.join(provenance.dialects)}"
        )


@app.command("unpack")
def unpack_bundle(
    bundle: File,
    out: Annotated[Path | None, typer.Option(help="Where to; by default the bundle's name without .efb.")] = None,
    json: Json = False,
) -> None:
    """Unpack a bundle into a new folder: manifest.json and the files that it lists."""
    folder = out or bundle.with_suffix("")
    paths = unpack(bundle, folder)
    if json:
        print_json({"folder": str(folder), "files": paths})
    else:
        typer.echo(f"unpacked {len(paths)} files into {folder}")


@app.command("pack")
def pack_folder(
    folder: Annotated[Path, typer.Argument(help="A folder that `edgefleet bundle unpack` made.", metavar="DIR")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="The bundle to write; by default DIR/../NAME-VERSION-TARGET.efb.")
    ] = None,
    security_floor: Annotated[int | None, typer.Option(min=0, help="Set: nothing below the highest one runs.")] = None,
    sampling_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Set: share of inferences kept as samples.")
    ] = None,
    samples_per_day: Annotated[
        int | None, typer.Option(min=0, help="Set: the most samples a device keeps a day.")
    ] = None,
    consent: Annotated[
        Path | None,
        typer.Option(help="Set: what samples are for and who may read them (TOML); without one, none is sent."),
    ] = None,
    json: Json = False,
) -> None:
    """Pack an unpacked bundle again, with another security floor or sampling policy if asked; nothing else changes."""
    agreed = read_consent(consent) if consent else None
    packed = pack(folder, out, Changes(security_floor, sampling_rate, samples_per_day, agreed))
    if json:
        print_json({"path": str(packed.path), "digest": packed.digest, "sha256": packed.sha256, "bytes": packed.bytes})
    else:
        typer.echo(f"packed {packed.path}, {format_bytes(packed.bytes)}, digest {packed.digest}")


def _print_quality(manifest: Manifest) -> None:
    if manifest.baseline is not None and manifest.compiled is not None:
        console = stdout()
        figures = f"{manifest.compiled.value:.4f}, the source's {manifest.baseline.value:.4f}"
        console.print(f"quality   {manifest.compiled.metric} {figures}, over {manifest.compiled.n:,} cases")


def _print_policy(manifest: Manifest) -> None:
    """What a publisher decides: `edgefleet bundle pack` sets these."""
    console, sampling = stdout(), manifest.sampling
    console.print(f"floor     {manifest.security_floor}, below which nothing runs once this is confirmed")
    console.print(f"samples   {sampling.rate:g} of the inferences, at most {sampling.max_per_day:,} a day")
    if sampling.consent is msgspec.UNSET:
        console.print("consent   none: samples stay on the device")
    else:
        consent = sampling.consent
        reader = keys.key_id(keys.recipient_from_text(consent.recipient))[:16]
        console.print(f"consent   {consent.purpose} (ask {consent.contact}); sealed to {reader}", markup=False)
        console.print(f"          kept for {consent.retention_days} days at most")
