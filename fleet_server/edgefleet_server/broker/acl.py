"""Who may publish and subscribe to what, made from the contract's topic table.

A device reaches its own topics and the blocks that everybody may read, nothing else; the server reaches everything.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgefleet_contract import topics
from edgefleet_contract.topics import ROOT, Topic
from edgefleet_server.authority import SERVER_NAME


def mosquitto_acl(servers: Sequence[str] = (SERVER_NAME,)) -> str:
    """The rules as mosquitto's ``acl_file``; ``%u`` is the user name, which is the certificate's subject."""
    lines = [line for name in servers for line in (f"user {name}", f"topic readwrite {ROOT}/#", "")]
    for row in topics.TOPICS:
        access = "write" if row.direction == "up" else "read"
        lines.append(f"pattern {access} {_filter(row, '%u')}")
    return "\n".join(lines) + "\n"


NOTHING = "topic deny #\n"  # mosquitto's ``acl_file`` of who may only connect


def may_publish(name: str, topic: str) -> bool:
    """Whether the holder of the certificate ``name`` may publish to ``topic``."""
    if name == SERVER_NAME:
        return topic.startswith(f"{ROOT}/")
    return any(row.direction == "up" and topic == _filter(row, name) for row in topics.TOPICS)


def may_read(name: str, topic_filter: str) -> bool:
    """Whether the holder of the certificate ``name`` may receive ``topic_filter``: a topic, or a whole filter."""
    if name == SERVER_NAME:
        return topic_filter == f"{ROOT}/#" or topic_filter.startswith(f"{ROOT}/")
    return any(
        row.direction != "up" and _covers(_filter(row, name).split("/"), topic_filter.split("/"))
        for row in topics.TOPICS
    )


def _filter(row: Topic, device: str) -> str:
    return row.pattern.format(device=device, sha256="+", n="+")


def _covers(allowed: list[str], asked: list[str]) -> bool:
    """Whether every topic of the filter ``asked`` is one of ``allowed``, whose only wildcard is ``+``."""
    return len(allowed) == len(asked) and all(
        level in ("+", other) and other != "#" for level, other in zip(allowed, asked, strict=True)
    )
