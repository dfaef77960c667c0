"""The certificate of lossless pruning: what went, and the facts that show that it could.

It refers to a file with all channels, by digest and by the positions of its operators, and is checked against that
file without searching (``verify``). A quantised source is that file itself. What we quantised from a float model has
such a file, too: the one that the same recipe with ``lossless = false`` gives.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import numpy as np

from edgefleet_compiler.lossless.channels import channels
from edgefleet_compiler.lossless.intervals import DIALECTS
from edgefleet_compiler.lossless.removal import Removal
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.recipe.form import Io
from edgefleet_contract import canonical

FILE: Final = "certificate.json"
"""What it is called in a bundle."""

VERSION: Final = 1


class RemovedChannels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The channels that one activation lost.

    Attributes:
        operator: Position of the operator that writes it, in the graph with all channels.
        kind: Of that operator.
        channels: How many there were.
        constant: Channels that layers multiply, and that always hold one value, which went into their biases: pairs
            of channel and value.
        unread: Channels of which no operator that stays computes anything.
    """

    operator: int
    kind: str
    channels: int
    constant: list[tuple[int, int]]
    unread: list[int]


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was removed, from which file, with which result.

    Attributes:
        v: Of this form.
        refers_to: "source": a quantised source; "unpruned": the artifact of the same recipe with ``lossless = false``.
        whole_sha256: Of the file that it refers to.
        artifact_sha256: Of the artifact.
        io: What its inputs and outputs were made; "source" where they are as in that file.
        dialects: Where the outputs are the same, bit for bit.
        removed: What went, by the operators' order.
    """

    v: int
    refers_to: Literal["source", "unpruned"]
    whole_sha256: str
    artifact_sha256: str
    io: Io
    dialects: list[str]
    removed: list[RemovedChannels]


def certify(
    graph: LoweredGraph,
    removal: Removal,
    artifact: bytes,
    *,
    refers_to: Literal["source", "unpruned"],
    whole_sha256: str,
    io: Io,
) -> Certificate:
    """The certificate of a removal.

    Args:
        graph: With all channels.
        removal: What went.
        artifact: The file without these channels.
        refers_to: What file has ``graph``.
        whole_sha256: Of that file.
        io: What its inputs and outputs were made.
    """
    return Certificate(
        v=VERSION,
        refers_to=refers_to,
        whole_sha256=whole_sha256,
        artifact_sha256=canonical.sha256(artifact),
        io=io,
        dialects=[str(dialect) for dialect in DIALECTS],
        removed=removed_channels(graph, removal),
    )


def removed_channels(graph: LoweredGraph, removal: Removal) -> list[RemovedChannels]:
    """What each activation loses, in execution order."""
    found = []
    for position, operator in enumerate(graph.operators):
        name = operator.outputs[0]
        if name not in removal.kept:
            continue
        values = removal.values.get(name, {})
        gone = [int(channel) for channel in np.flatnonzero(~removal.kept[name])]
        found.append(
            RemovedChannels(
                operator=position,
                kind=operator.kind,
                channels=channels(graph, name),
                constant=[(channel, values[channel]) for channel in gone if channel in values],
                unread=[channel for channel in gone if channel not in values],
            )
        )
    return found
