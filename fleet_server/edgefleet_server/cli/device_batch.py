"""``edgefleet device batch``: one claim certificate for many devices, put on all of them at the factory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from edgefleet_contract import canonical, identifiers, keys
from edgefleet_contract.enrolment import VERSION, BatchFile
from edgefleet_contract.errors import DataNotFound, OutputUnwritable, UsageMalformed
from edgefleet_contract.fingerprint import hashed
from edgefleet_server.cli import output, trust
from edgefleet_server.cli.options import Data, Json, Server, group, milliseconds, pairs
from edgefleet_server.client import Client
from edgefleet_server.data_folder import make_private, write_durable
from edgefleet_server.home import home
from edgefleet_server.publisher.publisher import Publisher

app = group()
app.info.help = "Batches: many devices that enroll with one claim certificate."

Name = Annotated[str, typer.Option(help="Name of the batch.")]


@app.command()
def create(
    name: Name,
    count: Annotated[int, typer.Option(help="How many devices may enroll at most.")],
    out: Annotated[Path, typer.Option(help="New folder for the claim, to be put on each device.")],
    expires: Annotated[str, typer.Option(help="How long devices may enroll with it: 24h, 30d.")] = "30d",
    allow: Annotated[
        Path | None, typer.Option(help="File of serial numbers or fingerprints, one a line; others are refused.")
    ] = None,
    hook: Annotated[
        str | None, typer.Option(help="Program in the folder `hooks` of the server's data, asked about each device.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="KEY=VALUE for each device; may be repeated.")] = None,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a batch. Its key is made here and goes nowhere but into the folder."""
    allowed = _read_allowed(allow) if allow is not None else None
    if out.exists():
        raise OutputUnwritable(f"{str(out)!r} exists", expected="a folder that is not there yet")
    key, publisher = keys.generate_device_key(), Publisher(home())
    request = {
        "name": name,
        "csr": _signing_request(name, key),
        "count": count,
        "life_ms": milliseconds("--expires", expires),
        "tags": pairs("--tag", tag or []),
        "allow": allowed,
        "hook": hook,
    }
    with Client(server, data) as client:
        state = trust.look(client, publisher)
        made = client.post("/batches", request)  # refused before keys are made
        root = trust.begin(client, publisher, state).root_digest or ""
    about = BatchFile(VERSION, name, made["devices_url"], made["authority"], root)
    try:
        make_private(out)
        write_durable(out / "claim.key", keys.to_pem(key))
        write_durable(out / "claim.pem", made["certificate"].encode())
        write_durable(out / "claim.json", canonical.encode(about))
    except OSError as cause:
        raise OutputUnwritable(
            f"{str(out)!r} cannot be written: {cause.strerror}",
            remedy=f"Close the batch, `edgefleet device batch close --name {name}`, and make another one.",
        ) from cause
    if as_json:
        output.print_json({"name": name, "out": str(out), "count": count, "expires_at": made["expires_at"]})
    else:
        output.out().print(output.text(str(out)), soft_wrap=True)
        output.note(
            f"Up to {count} devices, within {expires}. Put the folder on each of them; there, once:\n"
            "  edgefleet-agent enroll --claim FOLDER --data DIR\nand then remove it: they do not need it any more."
        )


@app.command("list")
def list_batches(server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """List batches and how many of their places are taken."""
    with Client(server, data) as client:
        batches = client.get("/batches")
    if as_json:
        output.print_json(batches)
        return
    if not batches:
        output.note("No batch yet. Next: edgefleet device batch create")
        return
    rows = output.table("BATCH", ">TAKEN", ">PLACES", "STATE", "HOOK", "TAGS")
    for batch in batches:
        rows.add_row(
            output.text(batch["name"]),
            output.text(batch["taken"]),
            output.text(batch["count"]),
            output.text("closed" if batch["closed_at"] else f"until {output.day(batch['expires_at'])}"),
            output.text(batch["hook"]),
            output.text(output.tags(batch["tags"])),
        )
    output.out().print(rows)


@app.command()
def close(name: Name, server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """Let no more devices in with a batch's claim; those that have enrolled stay."""
    with Client(server, data) as client:
        batch = client.post(f"/batches/{name}/close")
    if as_json:
        output.print_json(batch)
    else:
        output.out().print(output.text(f"{name} is closed; {batch['taken']} devices have enrolled with it"))


def _read_allowed(path: Path) -> list[str]:
    """Hashes of an allow list: lines that are hashes stay, others are serial numbers. ``#`` begins a remark."""
    try:
        lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as cause:
        raise DataNotFound(f"The allow list {str(path)!r} cannot be read: {cause}") from cause
    found = [line if identifiers.is_digest(line) else hashed("serial", line) for line in lines if line]
    if not found:
        raise UsageMalformed(f"The allow list {str(path)!r} is empty", expected="a serial number or fingerprint a line")
    return found


def _signing_request(name: str, key: keys.PrivateKey) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64] or "batch")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()
