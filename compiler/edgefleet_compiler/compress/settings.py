"""What is taken away of a model before it is quantised: the table ``[compress]`` of a recipe.

Everything stands here in numbers that were found before (``compress/choose``), so that a replay searches nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from edgefleet_compiler.compress.low_rank.words import Factors

Augment = Literal["none", "flip-crop"]
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


class Finetuning(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """How weights are trained on.

    Attributes:
        epochs: Passes over the cases, at most.
        batch: Cases in a step.
        learning_rate: The largest step of a weight, in relation to the weights of its layer.
        distill: The share of the loss that asks for what the teacher says, 0 to 1; the rest asks for the labels.
        temperature: What logits are divided by before teacher and student are compared.
        patience: Epochs without a better one after which training ends.
        augment: What is done to images at random: mirrored and shifted by up to an eighth.
    """

    epochs: int = 20
    batch: int = 64
    learning_rate: float = 0.01
    distill: float = 0.5
    temperature: float = 4.0
    patience: int = 10
    augment: Augment = "none"

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: A number is out of its range; msgspec makes a ``ValidationError`` of it.
        """
        bounds: dict[str, tuple[float, float]] = {
            "epochs": (1, 10_000),
            "batch": (1, 65_536),
            "learning_rate": (1e-9, 1.0),
            "distill": (0.0, 1.0),
            "temperature": (0.1, 100.0),
            "patience": (1, 10_000),
        }
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name.replace('_', '-')} is {getattr(self, name)!r}, expected {least} to {most}")


class Compression(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """What is done to the float hub, in this order.

    Attributes:
        prune: Channels that go; None for none.
        low_rank: How layers are factored, by name of the node, as ``Factors.parse`` reads it.
        finetune: How the weights that stay are trained to make up for it; None for not at all.
    """

    prune: Pruning | None = None
    low_rank: dict[str, str] = {}
    finetune: Finetuning | None = None

    def __post_init__(self) -> None:
        """Check the words.

        Raises:
            ValueError: Some are none; msgspec makes a ``ValidationError`` of it.
        """
        for layer, text in self.low_rank.items():
            try:
                Factors.parse(text)
            except ValueError as fault:
                raise ValueError(f"{fault}, for the layer {layer!r} of [compress.low-rank]") from fault
