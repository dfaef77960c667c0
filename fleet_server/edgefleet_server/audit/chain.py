"""The hash chain of the audit log: each entry holds the hash of all that went before it.

``hash = SHA-256(hash of the entry before, as 32 bytes, + the entry as canonical JSON)``; the first entry stands upon 32
zero bytes. So no entry can be altered, removed, put in or moved without every later hash changing. What a chain alone
cannot show is that its end was cut off: for that an operator keeps a :class:`Checkpoint` elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edgefleet_contract import canonical
from edgefleet_contract.errors import AuditLogAltered, UsageMalformed

START = "0" * 64
FIELDS = ("id", "at", "actor", "act", "device", "rollout", "origin", "details")


@dataclass(frozen=True)
class Checkpoint:
    """How far a log went, and with which hash: all that must be kept outside to notice that its end is missing.

    Attributes:
        count: Entries up to here.
        hash: Of the last one.
    """

    count: int = 0
    hash: str = START

    def __str__(self) -> str:
        return f"{self.count}:{self.hash}"


def parse_checkpoint(text: str) -> Checkpoint:
    """A checkpoint as it was printed.

    Raises:
        UsageMalformed: It is none.
    """
    count, _, digest = text.strip().partition(":")
    if not (count.isascii() and count.isdigit() and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
        raise UsageMalformed(
            f"The checkpoint is {text!r}", expected="COUNT:HASH, as `edgefleet audit verify` prints it"
        )
    return Checkpoint(int(count), digest)


def link(previous: str, entry: dict[str, Any]) -> str:
    """The hash of ``entry`` after ``previous``.

    Args:
        previous: Hash of the entry before, in hexadecimal.
        entry: With :data:`FIELDS`; others are not part of it.
    """
    # Through JSON once, so that a number or a key is here what it is when it is read again.
    said = json.loads(json.dumps({name: entry[name] for name in FIELDS}))
    return hashlib.sha256(bytes.fromhex(previous) + canonical.encode(said)).hexdigest()


def verify(entries: Iterable[dict[str, Any]], known: Checkpoint | None = None) -> Checkpoint:
    """Check a whole log, from its first entry.

    Args:
        entries: In their order, with their ``hash``.
        known: What an operator kept of an earlier look.

    Returns:
        The log's end, to be kept in turn.

    Raises:
        AuditLogAltered: An entry was altered, removed, put in or moved, or the end that ``known`` knows is missing.
    """
    end = Checkpoint()
    for entry in entries:
        if not _follows(entry, end.hash):
            raise AuditLogAltered(
                f"Entry {entry['id']} of the audit log does not follow from the {end.count} entries before it",
                remedy="Somebody altered, removed or moved entries here or just before. Compare with your last export.",
                entry=entry["id"],
                intact=end.count,
            )
        end = Checkpoint(end.count + 1, entry["hash"])
        if known is not None and end.count == known.count and end.hash != known.hash:
            raise AuditLogAltered(
                f"The first {known.count} entries of the audit log are not those of the checkpoint",
                remedy="The log was written anew since then. Compare with your last export.",
                intact=0,
            )
    if known is not None and end.count < known.count:
        raise AuditLogAltered(
            f"The audit log ends after {end.count} entries, and had {known.count}",
            remedy="Its end was cut off, or an older copy of the database is in use. Compare with your last export.",
            intact=end.count,
        )
    return end


def _follows(entry: dict[str, Any], previous: str) -> bool:
    try:
        return bool(entry["hash"] == link(previous, entry))
    except (OverflowError, UnicodeError):  # numbers and text that no server writes
        return False
