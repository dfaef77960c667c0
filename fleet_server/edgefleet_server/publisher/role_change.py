"""A change to who speaks for a role: keys that come, keys that go, and how many must sign. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from securesystemslib.signer import Key
from tuf.api.metadata import Root

from edgefleet_contract.errors import Conflict, UsageMalformed
from edgefleet_server.publisher.keyring import SigningKey, check_threshold

_SHORTEST = 8  # hexadecimal digits of an id that is given in short


@dataclass(frozen=True)
class RoleChange:
    """What is to change.

    Attributes:
        add: Keys that come.
        drop: Ids of those that go, in short or in full.
        threshold: How many must sign; None leaves it.
    """

    add: Sequence[SigningKey] = ()
    drop: Sequence[str] = ()
    threshold: int | None = None

    def applied(self, root: Root, role: str) -> tuple[list[Key], int]:
        """The keys of ``role`` and their threshold after the change.

        Raises:
            UsageMalformed: No key would be left, the threshold could not be met, or an id names none or several.
            Conflict: A key is there already, or is given twice; or nothing would change.
        """
        present = list(root.roles[role].keyids)
        dropped = {_find(present, role, short) for short in self.drop}
        _check_new(self.add, root)
        keys = [root.keys[key_id] for key_id in present if key_id not in dropped] + [key.key for key in self.add]
        if not keys:
            raise UsageMalformed(
                f"The role {role} would have no key left", remedy="Bring another in at the same time, with --key."
            )
        threshold = self.threshold or root.roles[role].threshold
        check_threshold(role, len(keys), threshold)
        if [key.keyid for key in keys] == present and threshold == root.roles[role].threshold:
            raise Conflict(f"Of the {len(present)} {role} keys {threshold} must sign already: nothing would change")
        return keys, threshold


def check_distinct(keys: Sequence[SigningKey]) -> None:
    """Refuse one key that is given twice.

    Raises:
        Conflict: It is.
    """
    ids = [key.id for key in keys]
    twice = next((key_id for key_id in ids if ids.count(key_id) > 1), None)
    if twice is not None:
        raise Conflict(
            f"The key {twice[:16]} is given twice",
            expected="different keys",
            remedy="Name the file of each person once.",
        )


def _check_new(keys: Sequence[SigningKey], root: Root) -> None:
    check_distinct(keys)
    for key in keys:
        if key.id in root.keys:
            roles = [role for role, said in root.roles.items() if key.id in said.keyids]
            raise Conflict(
                f"The key {key.id[:16]} is there already, for {', '.join(roles)}",
                remedy="Make a fresh one: `edgefleet key new`.",
            )


def _find(present: Sequence[str], role: str, short: str) -> str:
    found = [key_id for key_id in present if len(short) >= _SHORTEST and key_id.startswith(short.lower())]
    if len(found) != 1:
        raise UsageMalformed(
            f"{short!r} names {'several' if found else 'none'} of the {role} keys",
            expected=f"at least {_SHORTEST} digits of one of {', '.join(key_id[:16] for key_id in present)}",
            remedy="`edgefleet key list` shows them.",
        )
    return found[0]
