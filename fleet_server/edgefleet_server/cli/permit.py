"""``edgefleet release permit`` and ``permits``: leave for downgrades, signed here by the targets keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgefleet_contract import canonical, dsse, trust
from edgefleet_contract.errors import InputError, SignaturesMissing, UsageMalformed
from edgefleet_contract.trust.statements import PERMIT_LIFE_LIMIT
from edgefleet_server.cli import output
from edgefleet_server.cli import trust as between
from edgefleet_server.cli.options import Data, Json, Server, milliseconds
from edgefleet_server.client import Client
from edgefleet_server.clock import DAY, system_clock
from edgefleet_server.home import home
from edgefleet_server.publisher.keyring import TARGETS
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.trust.repository import Repository


def permit(
    release: Annotated[str, typer.Option(metavar="NAME@VERSION", help="The older release.")],
    device: Annotated[list[str], typer.Option(help="Who may go back to it; may be repeated.")],
    expires: Annotated[str, typer.Option(help="How long the permit lives: 24h, 7d.")] = "7d",
    signed: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A permit that several people have signed, to be sent as it is."),
    ] = None,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Permit devices a downgrade: without leave by the targets keys they refuse what is older than they confirmed."""
    publisher, life = Publisher(home()), milliseconds("--expires", expires)
    if life > PERMIT_LIFE_LIMIT:
        raise UsageMalformed(f"--expires is {expires}", expected=f"at most {PERMIT_LIFE_LIMIT // DAY}d")
    with Client(server, data) as client:
        repository = between.look(client, publisher).repository
        if signed:
            envelopes = [_read(path) for path in signed]
        else:
            by_digest = _by_digest(client, release, device)
            ends = system_clock() + life
            envelopes = [
                publisher.permit(repository, trust.Permit(trust.VERSION, devices, digest, ends))
                for digest, devices in by_digest.items()
            ]
        _check_complete(repository, release, envelopes)
        given = [client.send("POST", "/permits", envelope) for envelope in envelopes]
    if as_json:
        output.print_json(given)
        return
    output.out().print(f"[green]Permitted[/] {release} on {', '.join(device)} for {expires}")


def list_permits(server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """List permits for downgrades, the newest first. LAPSED: a key that signed it was replaced."""
    with Client(server, data) as client:
        permits = client.get("/permits")
    if as_json:
        output.print_json(permits)
        return
    if not permits:
        output.note("No permit yet. A rollout that needs one says so.")
        return
    rows = output.table("RELEASE", "STATE", "DEVICES", "GIVEN", "ENDS")
    now = system_clock()
    for given in permits:
        left = given["expires"] - now
        rows.add_row(
            output.text(given["release"]), output.text(given["state"]), output.text(" ".join(given["devices"])),
            output.ago(given["stored_at"]), output.text(f"in {output.duration(left)}" if left > 0 else "ended"),
        )  # fmt: skip
    output.out().print(rows)


def lapsed(client: Client) -> list[dict[str, Any]]:
    """The permits that lapsed with a key of theirs, and that nobody has signed again."""
    return [given for given in client.get("/permits") if given["state"] == "lapsed"]


def tell_lapsed(permits: list[dict[str, Any]]) -> None:
    """Say by which commands permits that lapsed are given again."""
    if not permits:
        return
    commands = [
        f"  edgefleet release permit --release {given['release']} "
        + " ".join(f"--device {device}" for device in given["devices"])
        for given in permits
    ]
    output.note(
        "\n".join([f"Permits that ended with their key, to be signed again if wanted: {len(permits)}", *commands])
    )


def _by_digest(client: Client, label: str, devices: list[str]) -> dict[str, list[str]]:
    """The bundle that the release has for each device; devices of one hardware share a permit."""
    bundles: list[dict[str, Any]] = client.get(f"/releases/{label}")["bundles"]
    found: dict[str, list[str]] = {}
    for device in devices:
        hardware = client.get(f"/devices/{device}")["hardware"]
        bundle = next((bundle for bundle in bundles if hardware in bundle["hardware"]), None)
        if bundle is None:
            raise InputError(f"The release {label} has no bundle for {hardware}, which the device {device} is")
        found.setdefault(bundle["digest"], []).append(device)
    return found


def _check_complete(repository: Repository, label: str, envelopes: list[bytes]) -> None:
    """Write permits that lack signatures to files, and say so."""
    threshold = repository.root.roles[TARGETS].threshold
    lacking = [
        envelope
        for envelope in envelopes
        if len(canonical.decode(envelope, dsse.Envelope, what="permit", limit=dsse.ENVELOPE_LIMIT).signatures)
        < threshold
    ]
    if not lacking:
        return
    paths = [f"permit-{label}-{number}.half-signed.json" for number in range(1, len(lacking) + 1)]
    for path, envelope in zip(paths, lacking, strict=True):
        between.write_file(Path(path), envelope)
    raise SignaturesMissing(
        f"The permit lacks signatures of targets keys, and was written to {', '.join(paths)}",
        expected=f"{threshold} of them",
        remedy="Have it signed where these are, `edgefleet key sign FILE`, then give it with `--signed FILE`.",
        files=paths,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise InputError(f"The permit {str(path)!r} cannot be read: {cause.strerror}") from cause
