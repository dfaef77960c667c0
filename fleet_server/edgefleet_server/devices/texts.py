"""What devices call themselves: short and printable, or not taken."""

from __future__ import annotations

from collections.abc import Mapping

from edgefleet_contract.errors import StatementMalformed

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
