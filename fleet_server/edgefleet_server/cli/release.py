"""``edgefleet release``: sign bundles here, push them, permit downgrades, and see what was pushed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from edgefleet_contract.errors import InputError
from edgefleet_server.cli import half_signed, label_order, output, trust
from edgefleet_server.cli.options import Data, Json, Server, group
from edgefleet_server.cli.permit import list_permits, permit
from edgefleet_server.cli.withdraw import tell_running, withdraw
from edgefleet_server.client import Client
from edgefleet_server.clock import system_clock
from edgefleet_server.home import home
from edgefleet_server.publisher.draft import Draft
from edgefleet_server.publisher.private import BundleSealer
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.publisher.statement import StatedRelease, state_release

app = group()
app.info.help = "Releases: push, withdraw, permit, list, show."


@app.command()
def push(
    files: Annotated[list[Path], typer.Argument(metavar="F...", help="Bundles (.efb) of one name and version.")],
    signed: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Metadata that several people have signed for these bundles.")
    ] = None,
    private: Annotated[
        bool,
        typer.Option("--private", help="Upload the bundles sealed: only devices that are assigned them open them."),
    ] = False,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Sign the bundles as one release with the keys on this machine, and upload them."""
    publisher, now = Publisher(home()), system_clock()
    with Client(server, data) as client, TemporaryDirectory() as work:
        state = trust.look(client, publisher)
        sealer = BundleSealer(home(), Path(work)) if private else None
        stated = state_release(files, now, sealer)  # refused before keys are made
        repository = trust.begin(client, publisher, state)
        draft = _signed_draft(publisher, signed, stated) if signed else publisher.release(repository, stated, now)
        handed = trust.hand_on(draft)
        order = label_order.warning(stated.label, client.get("/releases"))
        release = _push(client, publisher, stated, draft, sealer) if handed is None else None
    if order is not None:
        output.note(order)
    if as_json:
        output.print_json(release or {"half_signed": str(handed), "missing": trust.told_of(draft)})
        return
    if release is None:
        output.out().print(f"Wrote {handed}; it lacks signatures: {trust.wanting(draft)}")
        names = " ".join(str(file) for file in files)
        output.note(f"Next: edgefleet key sign {handed}; then: edgefleet release push --signed {handed} {names}")
        return
    output.out().print(f"[green]Pushed[/] {release['label']}")
    _print_bundles(release)
    output.note(f"Next: edgefleet rollout create --release {release['label']} --to all")


app.command("withdraw")(withdraw)
app.command("permit")(permit)
app.command("permits")(list_permits)


@app.command("list")
def list_releases(server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """List releases, the newest first."""
    with Client(server, data) as client:
        releases = client.get("/releases")
    if as_json:
        output.print_json(releases)
        return
    if not releases:
        output.note("No release yet. Next: edgefleet release push FILE.efb ...")
        return
    rows = output.table("RELEASE", "TARGETS", "PUSHED", "WITHDRAWN")
    for release in releases:
        targets = ", ".join(bundle["target"] for bundle in release["bundles"])
        rows.add_row(
            output.text(release["label"]),
            output.text(targets),
            output.ago(release["pushed_at"]),
            output.text(_withdrawn(release), "red"),
        )
    output.out().print(rows)


@app.command()
def show(
    label: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="As `release list` shows it.")],
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show a release and its bundles."""
    with Client(server, data) as client:
        release = client.get(f"/releases/{label}")
    if as_json:
        output.print_json(release)
        return
    output.out().print(f"[bold]{release['label']}[/]  security floor {release['security_floor']}")
    _print_bundles(release)
    if release["withdrawn_at"] is not None:
        output.out().print(output.text("It was withdrawn: no device takes it any more.", "red"))
        tell_running(release)


def _withdrawn(release: dict[str, Any]) -> str | None:
    """Whether a release was withdrawn, and how many devices still run it."""
    if release["withdrawn_at"] is None:
        return None
    left = len(release["running_on"])
    return f"yes; runs on {left}" if left else "yes"


def _signed_draft(publisher: Publisher, path: Path, stated: StatedRelease) -> Draft:
    """The draft that others have signed, if it is of these bundles."""
    draft = half_signed.read(publisher, path)
    if draft.about != f"release {stated.label}":
        raise InputError(f"The file {str(path)!r} is for the {draft.about}", expected=f"release {stated.label}")
    return draft


def _push(
    client: Client, publisher: Publisher, stated: StatedRelease, draft: Draft, sealer: BundleSealer | None
) -> dict[str, Any]:
    """Upload what is missing, then the metadata that name it."""
    grown = publisher.grown(draft)
    for bundle, path in stated.files:
        client.upload(bundle.sha256, path)
        if sealer is not None:
            client.send("PUT", f"/blobs/{bundle.sha256}/key", sealer.key(bundle.digest))
    pushed: dict[str, Any] = client.send("POST", "/releases", trust.as_upload(draft.files(), stated.label))
    publisher.keep(grown)
    return pushed


def _print_bundles(release: dict[str, Any]) -> None:
    rows = output.table("TARGET", "FORMAT", ">SIZE", "DIGEST", "QUALITY")
    for bundle in release["bundles"]:
        compiled, baseline = bundle["compiled"], bundle["baseline"]
        quality = f"{compiled['metric']} {compiled['value']:.4f}" if compiled else None
        if compiled and baseline:
            quality = f"{quality} (baseline {baseline['value']:.4f})"
        rows.add_row(
            output.text(bundle["target"]),
            output.text(bundle["format"] + (", private" if bundle["private"] else "")),
            output.text(output.size(bundle["bytes"])),
            output.short(bundle["digest"]),
            output.text(quality),
        )
    output.out().print(rows)
