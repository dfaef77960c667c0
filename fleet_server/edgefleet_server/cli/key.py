"""``edgefleet key``: the signing keys, on this machine, and what is signed with them beside releases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgefleet_contract.errors import Conflict, InputError, UsageMalformed
from edgefleet_contract.trust.repository import check_role
from edgefleet_server.cli import half_signed, output, trust
from edgefleet_server.cli.options import Data, Json, Server, group, milliseconds
from edgefleet_server.client import Client
from edgefleet_server.clock import system_clock
from edgefleet_server.home import home
from edgefleet_server.publisher.draft import Draft
from edgefleet_server.publisher.keyring import OFFLINE_ROLES, ROOT, TARGETS, model_role
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.trust.server_keys import SERVER_ROLES

app = group()
app.info.help = "Signing keys: make, list, rotate, renew; sign what others began."

Encrypted = Annotated[
    bool, typer.Option("--passphrase", help="Encrypt the key files; EDGEFLEET_PASSPHRASE, else it is asked.")
]
Token = Annotated[
    str,
    typer.Option(metavar="URI", help="Make them in a token: pkcs11:token=T;object=NAME. PIN: EDGEFLEET_PKCS11_PIN."),
]


@app.command()
def init(
    root_keys: Annotated[int, typer.Option(min=1, max=16, help="How many root keys to make.")] = 1,
    root_threshold: Annotated[int, typer.Option(min=1, max=16, help="How many of them must sign.")] = 1,
    targets_keys: Annotated[int, typer.Option(min=1, max=16, help="How many targets keys to make.")] = 1,
    targets_threshold: Annotated[int, typer.Option(min=1, max=16, help="How many of them must sign.")] = 1,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Make keys that sign releases of this model alone, beside the others.")
    ] = "",
    passphrase: Encrypted = False,
    pkcs11: Token = "",
    as_json: Json = False,
) -> None:
    """Make the root and targets keys in $EDGEFLEET_HOME, unless they are there."""
    publisher = Publisher(home())
    if model:
        roles = {model_role(check_role(model)): (targets_keys, targets_threshold)}
    else:
        roles = {ROOT: (root_keys, root_threshold), TARGETS: (targets_keys, targets_threshold)}
    made = not (publisher.keyring.exists and all(publisher.keyring.of(role) for role in roles))
    if made:
        publisher.keyring.make(
            {role: count for role, (count, _) in roles.items()},
            {role: threshold for role, (_, threshold) in roles.items()},
            passphrase=passphrase,
            token=pkcs11,
        )
    if as_json:
        output.print_json({"made": made, "home": str(home()), "root": publisher.repository().root_digest})
        return
    if not made:
        output.out().print(f"The keys in {home()} are there already; nothing was changed.")
        return
    output.out().print(f"Made the {' and '.join(roles)} keys in {home()}.")
    if not model:
        output.note(
            "Keep copies where no server is. Take the root keys offline after the first push or claim token: they are "
            "needed once a year, and to replace stolen keys. See docs/guide/trust.md."
        )


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List the keys, where they lie, and when what they signed expires."""
    publisher = Publisher(home())
    keyring, repository = publisher.keyring, publisher.repository()
    expiries = repository.expiries()
    current = repository.key_ids()
    found = [
        {
            "role": key.role,
            "id": key.id,
            "path": keyring.where(key),
            "here": keyring.is_here(key),
            "current": not repository.roots or key.id in current,
            "expires": expiries.get(key.role.removeprefix("model/")),
        }
        for key in keyring.all()
    ]
    if as_json:
        output.print_json({"root": repository.root_digest, "keys": found})
        return
    rows = output.table("ROLE", "KEY ID", "SIGNED UNTIL", "PRIVATE KEY")
    for key in found:
        place = output.text(key["path"]) if key["here"] else output.text("offline", "dim")
        until = output.text(
            output.day(expiries.get(str(key["role"]).removeprefix("model/"))) if key["current"] else "replaced"
        )
        rows.add_row(output.text(key["role"]), output.text(str(key["id"])[:16]), until, place)
    output.out().print(rows)


@app.command()
def rotate(
    roles: Annotated[list[str], typer.Argument(metavar="ROLE...", help="root, targets, online, assignment.")],
    passphrase: Encrypted = False,
    pkcs11: Token = "",
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Replace the keys of one or several roles by a new root: what a thief of the old ones signs is worth nothing."""
    unknown = sorted(set(roles) - {*OFFLINE_ROLES, *SERVER_ROLES})
    if unknown:
        raise UsageMalformed(f"The role is {unknown[0]!r}", expected=", ".join((*OFFLINE_ROLES, *SERVER_ROLES)))
    offline = [role for role in OFFLINE_ROLES if role in roles]
    online = [role for role in SERVER_ROLES if role in roles]
    publisher = Publisher(home())
    with Client(server, data) as client:
        state = trust.look(client, publisher)
        if not state.repository.roots:
            raise Conflict("There is no trust root yet, and so nothing to replace", remedy="`edgefleet device token`.")
        fresh = {role: client.post(f"/trust/keys/{role}") for role in online}
        draft = publisher.rotation(
            state.repository,
            offline,
            state.keys.replaced(fresh),
            online,
            system_clock(),
            passphrase=passphrase,
            token=pkcs11,
        )
        _end(client, publisher, draft, as_json)


@app.command()
def renew(
    within: Annotated[str, typer.Option(help="Renew what expires within this time.")] = "90d",
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Sign root, targets and the models' roles once more before they expire, for another year."""
    publisher, now = Publisher(home()), system_clock()
    with Client(server, data) as client:
        state = trust.look(client, publisher)
        if not state.repository.roots:
            raise Conflict("There is no trust root yet, and so nothing to renew", remedy="`edgefleet device token`.")
        draft = publisher.renewal(state.repository, now + milliseconds("--within", within), now)
        if draft.new:
            _end(client, publisher, draft, as_json)
        elif as_json:
            output.print_json({"done": False, "half_signed": None, "missing": []})
        else:
            output.out().print(f"Nothing expires within {within}.")


@app.command()
def sign(
    file: Annotated[Path, typer.Argument(help="A half-signed file.")],
    as_json: Json = False,
) -> None:
    """Add the signatures of the keys on this machine to what another began. Says what is being signed."""
    publisher = Publisher(home())
    signed = half_signed.sign(publisher, file)
    if as_json:
        output.print_json({"about": signed.about, "added": signed.added, "missing": signed.missing})
        return
    for line in signed.says:
        output.out().print(output.text(line))
    output.out().print(f"Added {signed.added} signatures to {file}.")
    output.note(f"Still missing: {signed.wanting}." if signed.missing else "It is complete: send it.")


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="A file that enough people have signed.")],
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give the server metadata that several people have signed (a release: `release push --signed`)."""
    publisher = Publisher(home())
    draft = half_signed.read(publisher, file)
    if draft.missing():
        raise InputError(f"The file {str(file)!r} lacks signatures: {trust.wanting(draft)}")
    with Client(server, data) as client:
        trust.look(client, publisher)
        _end(client, publisher, draft, as_json)


def _end(client: Client, publisher: Publisher, draft: Draft, as_json: bool) -> None:
    """Send what is complete; write down what is not."""
    handed = trust.hand_on(draft)
    result: dict[str, Any] = {
        "done": handed is None, "half_signed": str(handed) if handed else None, "missing": trust.told_of(draft),
    }  # fmt: skip
    if handed is None:
        trust.finish(client, publisher, draft)
    if as_json:
        output.print_json(result)
    elif handed is None:
        output.out().print(f"[green]Done[/]: {draft.about}")
    else:
        output.out().print(f"Wrote {handed}; it lacks signatures: {trust.wanting(draft)}")
        output.note(f"Next, where these keys are: edgefleet key sign {handed}; then: edgefleet key send {handed}")
