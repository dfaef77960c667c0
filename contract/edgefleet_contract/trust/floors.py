"""Floors: numbers that must never sink, each belonging to the keys that spoke it.

A floor stands as long as its keys do. It falls when so many of them have been taken away that those taken away could
have set it alone: then a thief who drove it to the sky with stolen keys locks nobody out once these keys are replaced.
Keys that are added, or replaced in a number below the threshold, let no floor fall.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from edgefleet_contract import canonical

_NAME_DIGITS = 16  # hexadecimal


class KeySet(msgspec.Struct, frozen=True):
    """Keys that speak together: so many of them (``threshold``) must sign."""

    keyids: list[str]
    threshold: int

    @property
    def name(self) -> str:
        """16 hexadecimal digits that stand for the set in the names of floors."""
        return canonical.sha256(canonical.encode([sorted(set(self.keyids)), self.threshold]))[:_NAME_DIGITS]

    def lives_on_in(self, later: KeySet) -> bool:
        """Whether fewer of these keys are missing from ``later`` than could have spoken alone."""
        return len(set(self.keyids) - set(later.keyids)) < self.threshold


class Floor(msgspec.Struct, frozen=True):
    """What must never sink, whatever else is lost.

    Attributes:
        root: Version of the newest root followed; 0 before the first.
        root_sha256: Of what that root's keys signed, so that no other root of its number is followed.
        assignment_sha256: The payload accepted under the highest sequence; the same one may come again.
        values: By ``WHAT:KEYSET``. WHAT is ``sequence``, ``time`` and ``accounted`` (of the assignment keys),
            ``timestamp``, ``snapshot``, ``targets``, and ``role/NAME``, ``issued/NAME`` and ``security/NAME`` (of the
            keys to which the model NAME is delegated); KEYSET is the name of a key set.
        keysets: The key sets that ``values`` names.
    """

    root: int
    root_sha256: str = ""
    assignment_sha256: str = ""
    values: dict[str, int] = {}
    keysets: dict[str, KeySet] = {}


NO_FLOOR = Floor(root=0)


@dataclass(frozen=True)
class Speakers:
    """The key sets that the newest metadata names: who speaks for which floor.

    Attributes:
        assignment, timestamp, snapshot, targets: By the root.
        delegations: By the targets metadata, by model name.
    """

    assignment: KeySet
    timestamp: KeySet
    snapshot: KeySet
    targets: KeySet
    delegations: Mapping[str, KeySet]

    def of(self, what: str) -> KeySet | None:
        """Who speaks for the floor ``what``; nobody for those of a model that is not delegated any more."""
        kind, _, model = what.partition("/")
        if model:
            return self.delegations.get(model)
        named = {"timestamp": self.timestamp, "snapshot": self.snapshot}
        return named.get(kind) or (self.targets if kind == "targets" else self.assignment)


def height(floor: Floor, what: str, speakers: KeySet | None) -> int:
    """The floor ``what`` as it stands under the keys that speak for it now; 0 if there is none."""
    if speakers is None:
        return 0
    return max((value for keyset, value in _entries(floor, what) if keyset.lives_on_in(speakers)), default=0)


def highest(floor: Floor, what: str) -> int:
    """The highest floor ``what``, whosoever set it; 0 if there is none. Dead ones went when the last proof came."""
    return max((value for _, value in _entries(floor, what)), default=0)


def raised(floor: Floor, what: str, speakers: KeySet, value: int) -> Floor:
    """The floor with ``what`` at least at ``value``, on the word of ``speakers``."""
    key = f"{what}:{speakers.name}"
    return msgspec.structs.replace(
        floor,
        values={**floor.values, key: max(value, floor.values.get(key, 0))},
        keysets={**floor.keysets, speakers.name: speakers},
    )


def living(floor: Floor, speakers: Speakers) -> Floor:
    """The floor without the entries of key sets that do not live on."""
    values = {}
    for key, value in floor.values.items():
        what, _, name = key.rpartition(":")
        current = speakers.of(what)
        if current is not None and floor.keysets[name].lives_on_in(current):
            values[key] = value
    named = {key.rpartition(":")[2] for key in values}
    keysets = {name: keyset for name, keyset in floor.keysets.items() if name in named}
    return msgspec.structs.replace(floor, values=values, keysets=keysets)


def has_lost(floor: Floor, what: str, speakers: KeySet) -> bool:
    """Whether a floor ``what`` was set by keys that do not live on in those that speak for it now."""
    return any(not keyset.lives_on_in(speakers) for keyset, _ in _entries(floor, what))


def _entries(floor: Floor, what: str) -> Iterator[tuple[KeySet, int]]:
    for key, value in floor.values.items():
        named, _, name = key.rpartition(":")
        if named == what:
            yield floor.keysets[name], value
