"""Trust between this machine and a server: neither can talk the other into older or foreign metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefleet_contract import canonical
from edgefleet_contract.errors import Conflict, OutputUnwritable, SignaturesMissing
from edgefleet_server.cli import output
from edgefleet_server.client import Client
from edgefleet_server.clock import system_clock
from edgefleet_server.data_folder import write_durable
from edgefleet_server.publisher.draft import Draft
from edgefleet_server.publisher.publisher import Publisher
from edgefleet_server.trust.repository import Repository, split_name
from edgefleet_server.trust.schemas import Upload
from edgefleet_server.trust.server_keys import ServerKeys


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
        OnlineKeyLost: The root of this machine names another server.
        OutputUnwritable: The keys cannot be written.
    """
    if server.has_root:
        return server.repository
    if server.repository.roots:
        put(client, server.repository.files())
        return server.repository
    if publisher.ensure():
        output.note(
            f"Made signing keys in {publisher.folder / 'keys'}. Keep a copy: without them this fleet takes no new "
            "release. Take root-*.pem offline: it is needed once a year, and to replace stolen keys."
        )
    draft = publisher.first(server.keys, system_clock())
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
    """Give a server a draft that is complete, and keep it here."""
    grown = draft.grown()
    put(client, grown.files() if not draft.base.roots else draft.files())
    publisher.keep(grown)
    return grown


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
    path = Path(f"{draft.about.replace(' ', '-').replace(',', '')}.half-signed.json")
    write_file(path, draft.encode())
    return path


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
        f"{missing.role} by {missing.count} of {', '.join(key[:16] for key in missing.keys)}"
        for missing in draft.missing()
    )


def told_of(draft: Draft) -> list[dict[str, Any]]:
    """What a draft lacks, for programs."""
    return [{"role": missing.role, "count": missing.count, "keys": missing.keys} for missing in draft.missing()]


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
