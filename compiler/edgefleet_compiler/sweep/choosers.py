"""What may be taken away of a model, measured once and asked for any share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import onnx_ir as ir

from edgefleet_compiler.compress.channels.choose import ChannelChooser
from edgefleet_compiler.compress.channels.prune import prune
from edgefleet_compiler.compress.low_rank.choose import RankChooser
from edgefleet_compiler.compress.settings import Compression
from edgefleet_compiler.sweep.record import Idea
from edgefleet_compiler.tensors import Sample


class Choosers:
    """Chooses channels and ranks of one hub.

    Args:
        hub: Float, in hub normal form.
        cases: Typical inputs, a batch of one each.
    """

    def __init__(self, hub: ir.Model, cases: Sequence[Sample]) -> None:
        self._hub = hub
        self._cases = cases

    def compression(self, idea: Idea) -> Compression | None:
        """What an idea takes away; None for nothing.

        Ranks are chosen of what pruning leaves, as they are factored of it.

        Raises:
            RecipeUnfit: The model does not have as much to give.
        """
        pruning = self._channels.choose(idea.prune) if idea.prune else None
        if not idea.low_rank:
            return None if pruning is None else Compression(prune=pruning)
        if pruning is None:
            return Compression(low_rank=self._ranks.choose(idea.low_rank))
        left = prune(self._hub, pruning, self._cases)
        return Compression(prune=pruning, low_rank=RankChooser(left, self._cases).choose(idea.low_rank))

    @cached_property
    def _channels(self) -> ChannelChooser:
        return ChannelChooser(self._hub, self._cases)

    @cached_property
    def _ranks(self) -> RankChooser:
        return RankChooser(self._hub, self._cases)
