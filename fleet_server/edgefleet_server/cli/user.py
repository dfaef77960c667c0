"""``edgefleet user``: people who use the server, and what they may do."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.cli import output
from edgefleet_server.cli.options import Data, Json, RoleOption, Server, group
from edgefleet_server.client import Client

app = group()
app.info.help = "Users of the server: add, list, role, disable, password."

UserName = Annotated[str, typer.Argument(metavar="NAME", help="As `user list` shows it.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a to z, digits and . _ -, a letter first.")],
    *,
    role: RoleOption,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Add a user. The word that is printed lets them set a password, once, within a day; there is no default one."""
    with Client(server, data) as client:
        made = client.post("/users", {"name": name, "role": role})
        _tell_word(client, made, as_json=as_json)


@app.command("list")
def list_users(server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """List users, by name."""
    with Client(server, data) as client:
        users = client.get("/users")
    if as_json:
        output.print_json(users)
        return
    if not users:
        output.note("No user yet. Next: edgefleet user add NAME --role admin")
        return
    rows = output.table("NAME", "ROLE", "STATE", "SIGNED IN")
    for user in users:
        rows.add_row(
            output.text(user["name"]), output.text(user["role"]), output.text(_state(user)),
            output.ago(user["last_sign_in"]),
        )  # fmt: skip
    output.out().print(rows)


@app.command()
def role(
    name: UserName,
    new_role: Annotated[str, typer.Argument(metavar="ROLE", help="viewer, operator, approver or admin.")],
    *,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give a user another role, from their next request on."""
    _change(name, {"role": new_role}, server, data, as_json=as_json)


@app.command()
def disable(name: UserName, server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """Shut a user out, and end their sessions. Users are never removed, for the audit log speaks of them."""
    _change(name, {"disabled": True}, server, data, as_json=as_json)


@app.command()
def enable(name: UserName, server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """Let a user in again."""
    _change(name, {"disabled": False}, server, data, as_json=as_json)


@app.command()
def password(
    name: UserName,
    *,
    ask: Annotated[bool, typer.Option("--ask", help="Ask for the new password on this terminal.")] = False,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take a user's password away, sign them out, and print a word with which they set another; or set it here."""
    with Client(server, data) as client:
        if ask:
            _print(client.put(f"/users/{quote(name, safe='')}/password", {"password": _asked()}), as_json=as_json)
        else:
            _tell_word(client, client.post(f"/users/{quote(name, safe='')}/reset"), as_json=as_json)


def _asked() -> str:
    first = str(typer.prompt("New password", hide_input=True, err=True))
    if first != typer.prompt("Again", hide_input=True, err=True):
        raise UsageMalformed("The two passwords differ", remedy="Nothing was changed; try again.")
    return first


def _change(name: str, body: dict[str, Any], server: str | None, data: Data, *, as_json: bool) -> None:
    with Client(server, data) as client:
        _print(client.patch(f"/users/{quote(name, safe='')}", body), as_json=as_json)


def _print(user: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.print_json(user)
    else:
        output.out().print(output.text(f"{user['name']}  {user['role']}  {_state(user)}"))


def _tell_word(client: Client, made: dict[str, Any], *, as_json: bool) -> None:
    link = f"{client.url.rstrip('/')}/set-up?{urlencode({'name': made['user']['name']})}"
    if as_json:
        output.print_json({**made, "link": link})
        return
    output.out().print(output.text(made["word"]), soft_wrap=True)
    output.note(f"Give this word to {made['user']['name']} over a way that you trust. Within a day they open\n  {link}")


def _state(user: dict[str, Any]) -> str:
    if user["disabled"]:
        return "disabled"
    return "active" if user["has_password"] else "no password yet"
