"""``edgefleet token``: API tokens, with which programs use the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from edgefleet_server.cli import output
from edgefleet_server.cli.options import Data, Json, RoleOption, Server, group, milliseconds
from edgefleet_server.client import Client
from edgefleet_server.client_session import UserClient
from edgefleet_server.clock import system_clock

app = group()
app.info.help = "API tokens for programs: create, list, revoke."


@app.command()
def create(
    *,
    role: RoleOption,
    expires: Annotated[str, typer.Option(help="How long it may be used: 12h, 90d; at most 366d.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it is for, as devices:read, rollouts:write or releases:push; may be repeated."),
    ] = None,
    label: Annotated[str, typer.Option(help="What people should know of it.")] = "",
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Make it as this user, who is an admin: asks for the password.")
    ] = "",
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make an API token. It is printed once, and kept nowhere; programs give it as EDGEFLEET_TOKEN."""
    body = {"role": role, "life_ms": milliseconds("--expires", expires), "scopes": scope or None, "label": label}
    with _client(user, server, data) as client:
        made = client.post("/api-tokens", body)
    if as_json:
        output.print_json(made)
        return
    output.out().print(output.text(made["text"]), soft_wrap=True)
    output.note(f"Shown once. Ends in {expires}, or by `edgefleet token revoke {made['token']['id']}`.")


@app.command("list")
def list_tokens(server: Server = None, data: Data = None, as_json: Json = False) -> None:
    """List API tokens, the newest first. The ID stands in the token itself: eft_ID_..."""
    with Client(server, data) as client:
        tokens = client.get("/api-tokens")
    if as_json:
        output.print_json(tokens)
        return
    if not tokens:
        output.note("No API token yet. Next: edgefleet token create --role operator --expires 90d")
        return
    rows = output.table("ID", "ROLE", "STATE", "USED", "BY", "LABEL", "SCOPES")
    for token in tokens:
        rows.add_row(
            output.text(token["id"]), output.text(token["role"]), output.text(_state(token)),
            output.ago(token["last_used"]), output.text(token["created_by"]), output.text(token["label"]),
            output.text(" ".join(token["scopes"]) if token["scopes"] else "all of the role"),
        )  # fmt: skip
    output.out().print(rows)


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token list` shows it.")],
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """End an API token at once."""
    with Client(server, data) as client:
        token = client.delete(f"/api-tokens/{quote(token_id, safe='')}")
    if as_json:
        output.print_json(token)
    else:
        output.out().print(output.text(f"Revoked {token['id']}."))


def _client(user: str, server: str | None, data: Path | None) -> Client:
    """A session by the token that is found, or by the password of a user."""
    if not user:
        return Client(server, data)
    return UserClient(user, str(typer.prompt(f"Password of {user}", hide_input=True, err=True)), server, data)


def _state(token: dict[str, Any]) -> str:
    if token["revoked_at"] is not None:
        return "revoked"
    left = token["expires_at"] - system_clock()
    return f"ends in {output.duration(left)}" if left > 0 else "expired"
