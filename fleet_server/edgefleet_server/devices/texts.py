"""What devices call themselves: short and printable, or not taken."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from edgefleet_contract import identifiers
from edgefleet_contract.errors import StatementMalformed
from edgefleet_contract.fingerprint import Fingerprint

TEXT_LIMIT = 128  # characters
RUNTIMES_LIMIT = 16


def check_texts(hardware: str, agent: str, runtimes: Mapping[str, str]) -> None:
    """Refuse names that no honest agent has.

    Raises:
        StatementMalformed: One is too long or not printable, or there are too many.
    """
    texts = [hardware, agent, *runtimes, *runtimes.values()]
    if any(len(text) > TEXT_LIMIT or not text.isprintable() for text in texts):
        raise StatementMalformed(
            "The device's hardware, agent or runtimes are too long or not printable",
            expected=f"printable names of at most {TEXT_LIMIT} characters",
        )
    if not hardware or len(runtimes) > RUNTIMES_LIMIT:
        raise StatementMalformed(
            f"The device has hardware {hardware!r} and {len(runtimes)} runtimes",
            expected=f"a name of hardware, and at most {RUNTIMES_LIMIT} runtimes",
        )


def check_fingerprint(fingerprint: Fingerprint) -> None:
    """Refuse what is no hash.

    Raises:
        StatementMalformed: A part is none.
    """
    if not all(part == "" or identifiers.is_digest(part) for part in msgspec.structs.astuple(fingerprint)):
        raise StatementMalformed("The fingerprint holds what is no hash", expected="SHA-256 in hexadecimal, or nothing")
