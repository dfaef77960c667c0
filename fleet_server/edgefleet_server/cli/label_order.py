"""Labels of versions against the order in which releases were signed: devices go by the latter alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_DOTTED = re.compile(r"\d+(?:\.\d+)*")


def warning(label: str, releases: Sequence[dict[str, Any]]) -> str | None:
    """What to say where a release is newer than one with a higher label; None where the labels grow as they should.

    Args:
        label: NAME@VERSION of a release that is there, or is to be the newest.
        releases: As the server lists them.
    """
    name, _, version = label.rpartition("@")
    signed = next((release["issued"] for release in releases if release["label"] == label), None)
    others = [
        release["version"]
        for release in releases
        if release["name"] == name and (signed is None or release["issued"] < signed)
    ]
    higher = [other for other in others if _number(other) > _number(version) > ()]
    if not higher:
        return None
    return (
        f"{label} has a lower label than {name}@{max(higher, key=_number)}, and is the newer release all the same: "
        "devices go by the time of signing, and take it without a permit."
    )


def _number(version: str) -> tuple[int, ...]:
    """The dotted number that a label begins with; empty where it begins otherwise."""
    match = _DOTTED.match(version.removeprefix("v"))
    return tuple(int(part) for part in match[0].split(".")) if match else ()
