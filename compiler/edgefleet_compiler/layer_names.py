"""Names of layers for people."""

from __future__ import annotations


def short_name(name: str) -> str:
    """A name without those of the nodes that TFLite's converter fused into it, which it writes behind semicolons."""
    return name.split(";", maxsplit=1)[0]
