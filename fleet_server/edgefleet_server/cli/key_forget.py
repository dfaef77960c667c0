"""``edgefleet key forget``: private files of keys that no root names any more are removed, if their owner says so."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.cli import output, trust
from edgefleet_server.cli.options import Data, Json, Server
from edgefleet_server.client import Client
from edgefleet_server.home import home
from edgefleet_server.publisher.publisher import Publisher


def forget_keys(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Remove the private files on this machine of keys that a rotation has taken all power from."""
    publisher = Publisher(home())
    if not yes and (as_json or not sys.stdin.isatty()):
        raise UsageMalformed("This cannot be taken back, and nobody is there to ask", remedy="Say --yes.")
    with Client(server, data) as client:
        trust.look(client, publisher)
    forgotten, powerless = forget_powerless(publisher, at_once=yes, may_ask=True)
    if as_json:
        output.print_json({"forgotten": forgotten, "powerless": powerless})
    elif not forgotten and not powerless:
        output.out().print("Every key on this machine that a root has named is in force; nothing was removed.")


def forget_powerless(publisher: Publisher, *, at_once: bool, may_ask: bool) -> tuple[list[str], list[str]]:
    """Name the keys here that have no power any more, and remove their files if their owner says so.

    Args:
        publisher: Whose machine it is.
        at_once: Whether the owner has said so already.
        may_ask: Whether a terminal, if there is one, may be asked.

    Returns:
        Where those lay that were removed, and where those lie that still are here.
    """
    keyring, powerless = publisher.keyring, publisher.powerless()
    files = [key for key in powerless if not key.is_in_token]
    for key in powerless:
        output.note(f"Replaced, and without power: the {key.role} key {key.id[:16]} in {keyring.where(key)}")
    if files and (at_once or (may_ask and _agreed())):
        for key in files:
            keyring.remove(key)
        output.note("Removed. Copies on other media are yours to destroy.")
    elif files:
        output.note("They are still there. Remove them: edgefleet key forget")
    kept = [key for key in powerless if keyring.is_here(key)]
    if any(key.is_in_token for key in kept):
        output.note("Keys in a token are removed with the token's own tools.")
    return [keyring.where(key) for key in powerless if key not in kept], [keyring.where(key) for key in kept]


def _agreed() -> bool:
    return sys.stdin.isatty() and typer.confirm("Remove the private files of these keys for good?", err=True)
