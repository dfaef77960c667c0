"""``edgefleet key``: the signing keys, on this machine, and what is signed with them beside releases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgefleet_contract.errors import Conflict, InputError, UsageMalformed
from edgefleet_contract.trust.repository import check_role
from edgefleet_server.cli import ask, half_signed, output, permit, trust
from edgefleet_server.cli.ask import Yes
from edgefleet_server.cli.key_forget import forget_keys, forget_powerless
from edgefleet_server.cli.key_list import list_keys
from edgefleet_server.cli.key_make import Encrypted, Token, init, new, read_public
from edgefleet_server.cli.options import Data, Json, Server, group, milliseconds
from edgefleet_server.client import Client
from edgefleet_server.clock import system_clock
from edgefleet_server.home import home
from edgefleet_server.publisher import drafts
from edgefleet_server.publisher.draft import Draft
from edgefleet_server.publisher.keyring import OFFLINE_ROLES, TARGETS, model_role
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.publisher.role_change import RoleChange
from edgefleet_server.trust.repository import Repository
from edgefleet_server.trust.server_keys import SERVER_ROLES

app = group()
app.info.help = "Signing keys: make, list, rotate, renew, forget; sign what others began."

app.command("new")(new)
app.command("init")(init)
app.command("list")(list_keys)
app.command("forget")(forget_keys)

Forget = Annotated[
    bool,
    typer.Option("--forget", help="Remove the private files of replaced keys here; else it is asked on a terminal."),
]


@app.command()
def rotate(
    roles: Annotated[
        list[str], typer.Argument(metavar="ROLE...", help="root, targets, online, assignment; or model/NAME.")
    ],
    key: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Bring in this key, as `key new` wrote it; repeatable.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="KEYID", help="Let this key go, as `key list` shows it; repeatable.")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(min=1, max=16, help="How many keys of the role must sign from now on.")
    ] = None,
    passphrase: Encrypted = False,
    pkcs11: Token = "",
    forget: Forget = False,
    yes: Yes = False,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Replace keys by a new root: what a thief of the old ones signs is worth nothing.

    Without --key, --drop and --threshold, fresh keys take the place of those that were made on this machine.
    """
    model = _model(roles)
    offline = [role for role in OFFLINE_ROLES if role in roles]
    online = [role for role in SERVER_ROLES if role in roles]
    change = _change(offline, key or [], drop or [], threshold, makes_keys=passphrase or bool(pkcs11))
    publisher = Publisher(home())
    with Client(server, data) as client:
        state = trust.look(client, publisher)
        if not state.repository.roots:
            raise Conflict("There is no trust root yet, and so nothing to replace", remedy="`edgefleet device token`.")
        base, now = state.repository, system_clock()
        keys = trust.fresh_keys(client, state, online)
        again = _agreed(base, roles, yes=yes)
        if model:
            draft = publisher.model_rotation(base, model, now, passphrase=passphrase, token=pkcs11)
        else:
            draft = publisher.rotation(
                base, offline, keys, online, now, change=change, passphrase=passphrase, token=pkcs11
            )
        _end(client, publisher, draft, as_json, forget=forget, signed_again=again)


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
    forget: Forget = False,
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
        _end(client, publisher, draft, as_json, forget=forget)


def _model(roles: list[str]) -> str:
    """The model whose keys are to be replaced; empty for other roles."""
    if len(roles) == 1 and roles[0].startswith(model_role("")):
        return check_role(roles[0].removeprefix(model_role("")))
    unknown = sorted(set(roles) - {*OFFLINE_ROLES, *SERVER_ROLES})
    if unknown:
        raise UsageMalformed(
            f"The role is {unknown[0]!r}",
            expected=f"{', '.join((*OFFLINE_ROLES, *SERVER_ROLES))}; or model/NAME by itself",
        )
    return ""


def _agreed(base: Repository, roles: list[str], *, yes: bool) -> list[str]:
    """The releases that new keys sign again, once their owner has looked: one of them may be a thief's."""
    chosen = [role for role in roles if role == TARGETS or role.startswith(model_role(""))]
    again = [label for role in chosen for label in drafts.signed_again(base, role)]
    own = drafts.own_keys(base) if TARGETS in chosen else {}
    if again:
        output.note(f"The new keys sign these releases again, which stay good: {', '.join(again)}")
    for name, keys in own.items():
        output.note(f"{name} has keys of its own, which stay: {', '.join(key[:16] for key in keys)}")
    if again or own:
        ask.confirm(
            "Right after this, withdraw releases that are not yours, `edgefleet release withdraw NAME@VERSION`, and "
            "replace keys that are not: `edgefleet key rotate model/NAME`.",
            yes=yes,
        )
    return again


def _change(
    offline: list[str], files: list[Path], drop: list[str], threshold: int | None, *, makes_keys: bool
) -> RoleChange | None:
    """What the options ask for; None for fresh keys."""
    if not files and not drop and threshold is None:
        return None
    if len(offline) != 1 or makes_keys:
        raise UsageMalformed(
            "--key, --drop and --threshold change one role, over keys that are made already",
            expected="`edgefleet key rotate root` or `edgefleet key rotate targets`, without --passphrase and --pkcs11",
        )
    return RoleChange(read_public(files, offline[0]), drop, threshold)


def _end(
    client: Client, publisher: Publisher, draft: Draft, as_json: bool, *, forget: bool = False, **told: Any
) -> None:
    """Send what is complete; write down what is not; ``told`` is for programs."""
    result = {**trust.end(client, publisher, draft), **told}
    if result["done"]:
        result["forgotten"], result["powerless"] = forget_powerless(publisher, at_once=forget, may_ask=not as_json)
        result["lapsed_permits"] = permit.lapsed(client)
    if as_json:
        output.print_json(result)
    else:
        trust.tell_end(draft, result)
        permit.tell_lapsed(result.get("lapsed_permits", []))
