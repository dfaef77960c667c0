"""Channels that go before weights are trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgefleet_compiler.compress.channels.choose import choose_channels
from edgefleet_compiler.compress.channels.prune import prune
from edgefleet_compiler.naming import naming

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgefleet_compiler.compress.settings import Pruning
    from edgefleet_compiler.data import DataSet
    from edgefleet_compiler.progress import Progress
    from edgefleet_compiler.source import Source

_CASES = 256
"""Of the training set, evenly spread: what channels are ranked, and layers refitted by."""


def pruned(source: Source, ratio: float, data: DataSet, progress: Progress) -> tuple[ir.Model, Pruning]:
    """The hub of a source without a share of its multiply-accumulates, and which channels stay.

    Args:
        source: The model.
        ratio: The share, above 0 and below 1.
        data: Typical inputs; a part of them is used.
        progress: Told of what takes long.

    Raises:
        DataMalformed: A case cannot be used.
        RecipeUnfit: The model has not so much to give.
    """
    with naming(data.path):
        cases = data.pick(data.spread(_CASES))
    pruning = choose_channels(source.hub, cases, ratio, "macs", progress=progress)
    progress.stage("pruning channels")
    return prune(source.hub, pruning, cases), pruning
