"""What is taken away of a model before it is quantised: the table ``[compress]`` of a recipe.

Everything stands here in numbers that were found before (``compress/choose``), so that a replay searches nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Saliency = Literal["second-order", "activation", "magnitude"]


class Pruning(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """Which channels go.

    Attributes:
        saliency: By what channels of a group are ranked: second-order: what their loss does to the outputs of the
            layers that read them, after these made up for it; activation: how much they carry over typical inputs;
            magnitude: of their weights.
        refit: Whether the layers that read them make up for their loss by least squares over typical inputs.
        keep: Channels that stay of each group, by its name; groups that are not named stay whole.
    """

    saliency: Saliency = "second-order"
    refit: bool = True
    keep: dict[str, int] = {}


class Compression(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """What is done to the float hub, in this order.

    Attributes:
        prune: Channels that go; None for none.
    """

    prune: Pruning | None = None
