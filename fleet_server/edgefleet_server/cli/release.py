"""``edgefleet release``: sign bundles here, push them, and see what was pushed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgefleet_contract.errors import NotFound
from edgefleet_server.cli import output
from edgefleet_server.cli.options import Data, Json, Server, group
from edgefleet_server.cli.root import check_root, send_root
from edgefleet_server.client import Client
from edgefleet_server.clock import system_clock
from edgefleet_server.home import home
from edgefleet_server.publisher import Publisher, SignedRelease, state_release

app = group()
app.info.help = "Releases: push, list, show."


@app.command()
def push(
    files: Annotated[list[Path], typer.Argument(metavar="F...", help="Bundles (.efb) of one name and version.")],
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Sign the bundles as one release with the keys on this machine, and upload them."""
    publisher = Publisher(home())
    with Client(server, data) as client:
        check_root(client, publisher)
        stated = state_release(files, system_clock())  # refused before keys are made
        send_root(client, publisher)
        release = _push(client, publisher.sign_release(stated))
    if as_json:
        output.print_json(release)
        return
    output.out().print(f"[green]Pushed[/] {release['label']}")
    _print_bundles(release)
    output.note(f"Next: edgefleet rollout create --release {release['label']} --to all")


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
    rows = output.table("RELEASE", "TARGETS", "PUSHED")
    for release in releases:
        targets = ", ".join(bundle["target"] for bundle in release["bundles"])
        rows.add_row(output.text(release["label"]), output.text(targets), output.ago(release["pushed_at"]))
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


def _push(client: Client, signed: SignedRelease) -> dict[str, Any]:
    """Upload what is missing, then the statement; a version that stands for other bundles is refused before that."""
    label = f"{signed.release.name}@{signed.release.version}"
    pushing = {bundle.digest for bundle in signed.release.bundles}
    try:
        present = {bundle["digest"] for bundle in client.get(f"/releases/{label}")["bundles"]}
    except NotFound:
        present = pushing
    if present == pushing:
        for bundle, path in signed.files:
            client.upload(bundle.sha256, path)
    pushed: dict[str, Any] = client.send("POST", "/releases", signed.statement)
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
            output.text(bundle["format"]),
            output.text(output.size(bundle["bytes"])),
            output.short(bundle["digest"]),
            output.text(quality),
        )
    output.out().print(rows)
