"""``edgefleet key list``: which keys there are, whose, where, and what they are worth."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from edgefleet_server.cli import output
from edgefleet_server.cli.options import Json
from edgefleet_server.home import home
from edgefleet_server.publisher.keyring import OFFLINE_ROLES, SigningKey
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.trust.repository import Repository


def list_keys(as_json: Json = False) -> None:
    """List the keys, whose they are and where they lie, how many must sign, and when what they signed expires."""
    publisher = Publisher(home())
    repository = publisher.repository()
    thresholds = _thresholds(publisher, repository)
    found = [_told(publisher, repository, key) for key in _all(publisher, repository)]
    if as_json:
        output.print_json({"root": repository.root_digest, "thresholds": thresholds, "keys": found})
        return
    rows = output.table("ROLE", "KEY ID", "NAME", "MUST SIGN", "SIGNED UNTIL", "PRIVATE KEY")
    for key in found:
        role = str(key["role"])
        count = sum(other["current"] for other in found if other["role"] == role)
        rows.add_row(
            output.text(role),
            output.text(str(key["id"])[:16]),
            output.text(key["name"]),
            output.text(f"{thresholds[role]} of {count}" if key["current"] and role in thresholds else "-"),
            output.text(output.day(key["expires"]) if key["current"] else key["state"]),
            _place(key),
        )
    output.out().print(rows)


def _all(publisher: Publisher, repository: Repository) -> list[SigningKey]:
    """The keys that are listed here, and those that a colleague brought into the root since."""
    listed = publisher.keyring.all()
    if not repository.roots:
        return listed
    known, root = {key.id for key in listed}, repository.root
    return listed + [
        SigningKey(role, key_id, root.keys[key_id].to_dict(), place="")
        for role in OFFLINE_ROLES
        for key_id in root.roles[role].keyids
        if key_id not in known
    ]


def _told(publisher: Publisher, repository: Repository, key: SigningKey) -> dict[str, Any]:
    named = key.id in repository.key_ids()
    settled = not repository.roots and publisher.keyring.threshold(key.role) is not None
    waits = key.role in OFFLINE_ROLES and key.id not in publisher.named_once()
    return {
        "role": key.role,
        "id": key.id,
        "name": key.name,
        "path": publisher.keyring.where(key),
        "own": key.is_own,
        "here": publisher.keyring.is_here(key),
        "current": named or settled,
        "state": "current" if named or settled else "not in the root" if waits else "replaced",
        "expires": repository.expiries().get(key.role.removeprefix("model/")),
    }


def _place(key: dict[str, Any]) -> Text:
    if key["here"]:
        return output.text(key["path"])
    return output.text("offline" if key["own"] else "elsewhere", "dim")


def _thresholds(publisher: Publisher, repository: Repository) -> dict[str, int]:
    """How many must sign for each role: as the root says, before the first one as was settled here."""
    roles = {key.role for key in publisher.keyring.all()} | set(OFFLINE_ROLES)
    found = {role: publisher.keyring.threshold(role) for role in roles}
    if repository.roots:
        found |= {role: repository.root.roles[role].threshold for role in OFFLINE_ROLES}
    return {role: threshold for role, threshold in sorted(found.items()) if threshold is not None}
