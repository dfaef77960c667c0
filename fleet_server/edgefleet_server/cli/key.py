"""``edgefleet key``: the publisher's signing keys, on this machine."""

from __future__ import annotations

from edgefleet_contract import keys, trust
from edgefleet_server.cli import output
from edgefleet_server.cli.options import Json, group
from edgefleet_server.home import home
from edgefleet_server.publisher import ROLES, Publisher

app = group()
app.info.help = "The publisher's signing keys."


@app.command()
def init(as_json: Json = False) -> None:
    """Make the root and targets keys in $EDGEFLEET_HOME, unless they are there."""
    publisher = Publisher(home())
    made = publisher.ensure()
    if as_json:
        output.print_json({"made": made, "home": str(home()), "root": trust.root_digest(publisher.root_envelope())})
        return
    if made:
        output.out().print(f"Made the root and targets keys in {home()}.")
        output.note("Keep copies of both where no server is. The root key is needed only to replace the targets key.")
    else:
        output.out().print(f"The keys in {home()} are there already; nothing was changed.")


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List the keys and where they lie."""
    publisher = Publisher(home())
    root = publisher.root()
    public = {"root": [root.root], "targets": root.targets}
    found = [
        {
            "role": role,
            "id": keys.key_id(keys.public_from_text(text)),
            "path": str(publisher.key_path(role)),
            "here": publisher.key_path(role).exists(),
        }
        for role in ROLES
        for text in public[role]
    ]
    if as_json:
        output.print_json({"root": trust.root_digest(publisher.root_envelope()), "keys": found})
        return
    rows = output.table("ROLE", "KEY ID", "PRIVATE KEY")
    for key in found:
        place = output.text(key["path"]) if key["here"] else output.text("not on this machine", "dim")
        rows.add_row(output.text(key["role"]), output.text(str(key["id"])[:16]), place)
    output.out().print(rows)
