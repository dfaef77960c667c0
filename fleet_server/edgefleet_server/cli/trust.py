"""Trust between this machine and a server: neither can talk the other into older or foreign metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefleet_contract import canonical
from edgefleet_contract.errors import Conflict, OnlineKeyLost, OutputUnwritable, SignaturesMissing
from edgefleet_server.cli import output
from edgefleet_server.client import Client
from edgefleet_server.clock import system_clock
from edgefleet_server.data_folder import write_durable
from edgefleet_server.publisher.draft import Draft, decode
from edgefleet_server.publisher.drafts import FIRST
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.trust.repository import Repository, split_name
from edgefleet_server.trust.schemas import Upload
from edgefleet_server.trust.server_keys import SERVER_ROLES, ServerKeys, key_ids


@dataclass(frozen=True)
class Server:
    """What a server says of itself, and what it has in common with this machine.

    Attributes:
        keys: Its public keys.
        repository: The newest metadata of both.
        has_root: Whether devices can enroll with it.
    """

    keys: ServerKeys
    repository: Repository
    has_root: bool

    @property
    def is_named(self) -> bool:
        """Whether the newest root names the keys that the server has."""
        root = self.repository.root
        return all(self.keys.key(role).keyid in key_ids(root, role) for role in SERVER_ROLES)


def look(client: Client, publisher: Publisher) -> Server:
    """Compare a server's metadata with the own copy, before anything is made; the older side gets the newer ones.

    Raises:
        Conflict: The server is of another publisher, or contradicts the copy.
        EdgefleetError: It does not answer, or not to us.
    """
    told = client.get("/trust")
    own = publisher.repository()
    merged = publisher.merged({name: _fetch(client, name) for name in _newer(told["files"], own)})
    if merged != own:
        publisher.keep(merged)
    if told["root"] is not None:
        behind = {name: data for name, data in merged.files().items() if name not in told["files"]}
        if behind:
            output.note("This server had older metadata than this machine, and gets the newer ones: was it restored?")
            put(client, behind)
    return Server(ServerKeys(**told["keys"]), merged, told["root"] is not None)


def begin(client: Client, publisher: Publisher, server: Server) -> Repository:
    """Give a server that has no trust root the one of this machine, whose keys and root are made if there are none.

    Raises:
        SignaturesMissing: The first root needs keys that are not here.
        OnlineKeyLost: The root of this machine names the keys of another server.
        Conflict: A half-signed first root lies here that is not the one of this machine and server.
        OutputUnwritable: The keys cannot be written.
    """
    if server.has_root:
        return server.repository
    if server.repository.roots:
        if not server.is_named:
            raise _unnamed()
        put(client, server.repository.files())
        return server.repository
    if publisher.ensure():
        output.note(
            f"Made signing keys in {publisher.folder / 'keys'}. Keep a copy: without them this fleet takes no new "
            "release. Take root-*.pem offline: it is needed once a year, and to replace stolen keys."
        )
    draft = _first(publisher, server.keys)
    handed = hand_on(draft)
    if handed is not None:
        raise SignaturesMissing(
            f"The first trust root lacks signatures: {wanting(draft)}",
            remedy=f"Have it signed where the keys are, `edgefleet key sign {handed}`, and send it: "
            f"`edgefleet key send {handed}`.",
            file=str(handed),
        )
    return finish(client, publisher, draft)


def finish(client: Client, publisher: Publisher, draft: Draft) -> Repository:
    """Give a server a draft that is complete, with all that it builds on and the server lacks; and keep it here.

    Raises:
        SignatureInvalid: It is not complete.
        Conflict: It builds on what has been replaced since.
    """
    grown, present = publisher.grown(draft), client.get("/trust")["files"]
    put(client, {name: data for name, data in grown.files().items() if present.get(name) != canonical.sha256(data)})
    publisher.keep(grown)
    return grown


def end(client: Client, publisher: Publisher, draft: Draft) -> dict[str, Any]:
    """Give the server a draft that is complete; write down one that is not. What came of it, for programs."""
    handed = hand_on(draft)
    if handed is None:
        finish(client, publisher, draft)
    return {"done": handed is None, "half_signed": str(handed) if handed else None, "missing": told_of(draft)}


def tell_end(draft: Draft, result: Mapping[str, Any]) -> None:
    """Print what came of a draft."""
    handed = result["half_signed"]
    if handed is None:
        output.out().print(f"[green]Done[/]: {draft.about}")
        return
    output.out().print(output.text(f"Wrote {handed}; it lacks signatures: {wanting(draft)}"))
    output.note(f"Next, where these keys are: edgefleet key sign {handed}; then: edgefleet key send {handed}")


def fresh_keys(client: Client, server: Server, roles: Sequence[str]) -> ServerKeys:
    """The server's keys, fresh ones for ``roles``; those of a new server, which no root has named yet, are fresh.

    Raises:
        OnlineKeyLost: The server is new, and not all of its keys are to be named.
    """
    if not server.has_root and not server.is_named:
        if set(roles) != set(SERVER_ROLES):
            raise _unnamed()
        return server.keys
    return server.keys.replaced({role: client.post(f"/trust/keys/{role}") for role in roles})


def put(client: Client, files: Mapping[str, bytes]) -> None:
    """Give a server metadata."""
    client.send("PUT", "/trust", as_upload(files))


def as_upload(files: Mapping[str, bytes], release: str | None = None) -> bytes:
    """Metadata as a request, with the release that they are for."""
    return canonical.encode(Upload({name: data.decode() for name, data in files.items()}, release))


def hand_on(draft: Draft) -> Path | None:
    """Write a draft that lacks signatures to a file here, for others to sign; None when it is complete.

    Raises:
        OutputUnwritable: The file cannot be written.
    """
    if not draft.missing():
        return None
    path = half_signed_path(draft.about)
    write_file(path, draft.encode())
    return path


def half_signed_path(about: str) -> Path:
    """Where a draft goes that lacks signatures."""
    return Path(f"{about.replace(' ', '-').replace(',', '')}.half-signed.json")


def write_file(path: Path, content: bytes) -> None:
    """Write a file for others.

    Raises:
        OutputUnwritable: It cannot be written.
    """
    try:
        write_durable(path, content)
    except OSError as cause:
        raise OutputUnwritable(f"The file {str(path)!r} cannot be written: {cause.strerror}") from cause


def wanting(draft: Draft) -> str:
    """What a draft lacks, for people."""
    return "; ".join(
        f"{missing.role} by {missing.count} of {', '.join(draft.label(key) for key in missing.keys)}"
        for missing in draft.missing()
    )


def told_of(draft: Draft) -> list[dict[str, Any]]:
    """What a draft lacks, for programs."""
    return [{"role": missing.role, "count": missing.count, "keys": missing.keys} for missing in draft.missing()]


def _unnamed() -> OnlineKeyLost:
    return OnlineKeyLost(
        "This server is new: the trust root of this machine names the keys of another one",
        expected="a root that names this server's keys, or the data folder of the old server",
        remedy="Make its keys part of a new root: `edgefleet key rotate online assignment`.",
    )


def _first(publisher: Publisher, keys: ServerKeys) -> Draft:
    """The first root: what others have signed of it already, where it lies here, else a new one."""
    fresh, path = publisher.first(keys, system_clock()), half_signed_path(FIRST)
    if not path.exists():
        return fresh
    draft = decode(path.read_bytes())
    if not draft.says_as(fresh):
        raise Conflict(
            f"The file {str(path)!r} is for another trust root: of other keys, thresholds, or another server",
            remedy="Move it away, or use the keys and the server that it was written for.",
        )
    publisher.sign(draft)
    return draft


def _newer(files: Mapping[str, str], own: Repository) -> list[str]:
    """The server's files that are news here: another version, or the same one with other contents."""
    mine, versions, news = own.files(), own.versions(), []
    for name, sha256 in files.items():
        role, version = split_name(name)
        is_older = role != "root" and version < versions.get(role, 0)
        if not is_older and (name not in mine or canonical.sha256(mine[name]) != sha256):
            news.append(name)
    return news


def _fetch(client: Client, name: str) -> bytes:
    answer = client.get(f"/trust/metadata/{name}")
    if answer["name"] != name:
        raise Conflict(f"The server answers {answer['name']!r} when asked for {name!r}")
    return str(answer["data"]).encode()
