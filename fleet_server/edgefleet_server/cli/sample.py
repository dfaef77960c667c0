"""``edgefleet sample``: raw samples of devices, sealed on the device and opened on this machine alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.asymmetric import ec

from edgefleet_contract import keys, samples
from edgefleet_contract.errors import InputError, OutputUnwritable
from edgefleet_server.cli import output
from edgefleet_server.cli.options import Data, Json, Server, group
from edgefleet_server.client import Client
from edgefleet_server.data_folder import make_private, write_durable
from edgefleet_server.home import home

app = group()
app.info.help = "Raw samples: make the key that opens them, list, fetch."

KeyFile = Annotated[Path | None, typer.Option(help="The key that opens samples. Default: $EDGEFLEET_HOME/samples.pem.")]
OfDevice = Annotated[str | None, typer.Option(help="Only of this device.")]


@app.command()
def key(key: KeyFile = None, as_json: Json = False) -> None:
    """Make the key that opens samples, unless it is there, and print the line of a consent that names it."""
    path = key or _default_key()
    made = not path.exists()
    if made:
        try:
            make_private(path.parent)
            write_durable(path, keys.to_pem(keys.generate_device_key()))
        except OSError as cause:
            raise OutputUnwritable(f"The key cannot be written to {str(path)!r}: {cause.strerror}") from cause
    recipient = keys.public_text(_read(path).public_key())
    if as_json:
        output.print_json({"key": str(path), "made": made, "recipient": recipient})
        return
    output.out().print(f'recipient = "{recipient}"', markup=False, soft_wrap=True)
    output.note(
        f"{'Made' if made else 'The key is'} {path}. Whoever has it reads the samples; the server never needs it."
    )


@app.command("list")
def list_samples(device: OfDevice = None, server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """List the samples that are on the server, the oldest first."""
    with Client(server, data) as client:
        found = _all_pages(client, device)
    if as_json:
        output.print_json(found)
        return
    if not found:
        output.note("No samples. A bundle sends some only with a consent: edgefleet bundle pack --consent FILE.")
        return
    rows = output.table(">ID", "DEVICE", "BUNDLE", ">SIZE", "RECEIVED", "SEALED TO")
    for sample in found:
        rows.add_row(
            output.text(sample["id"]),
            output.text(sample["device_id"]),
            output.short(sample["digest"]),
            output.text(output.size(sample["size"])),
            output.ago(sample["received_at"]),
            output.text(sample["recipient"][:16]),
        )
    output.out().print(rows)


@app.command()
def fetch(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write them to.")],
    *,
    key: KeyFile = None,
    device: OfDevice = None,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Fetch samples and open them here, one .npz each; those that are there already are not fetched again."""
    private = _read(key or _default_key())
    own = keys.key_id(private.public_key())
    with Client(server, data) as client:
        found = _all_pages(client, device)
        ours = [sample for sample in found if sample["recipient"] == own]
        written = [path for sample in ours if (path := _fetch(client, sample, private, out)) is not None]
    others = len(found) - len(ours)
    if as_json:
        output.print_json({"written": [str(path) for path in written], "sealed_to_others": others})
        return
    output.out().print(f"{len(written)} samples written to {out}", markup=False)
    if others:
        output.note(f"{others} are sealed to other keys.")


def _fetch(client: Client, sample: dict[str, Any], private: ec.EllipticCurvePrivateKey, folder: Path) -> Path | None:
    path = folder / f"{sample['device_id']}-{sample['id']}.npz"
    if path.exists():
        return None
    _, plain = samples.open_sample(client.content(f"/samples/{sample['id']}/sealed"), private)
    try:
        make_private(folder)
        write_durable(path, plain)
    except OSError as cause:
        raise OutputUnwritable(f"{str(path)!r} cannot be written: {cause.strerror}") from cause
    return path


def _all_pages(client: Client, device: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := client.get("/samples", device=device, after=found[-1]["id"] if found else 0):
        found += page
    return found


def _default_key() -> Path:
    return home() / "samples.pem"


def _read(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        return keys.device_key_from_pem(path.read_bytes())
    except OSError as cause:
        raise InputError(
            f"The key {str(path)!r} cannot be read: {cause.strerror}", remedy="Make one: `edgefleet sample key`."
        ) from cause
