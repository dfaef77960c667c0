"""What ``edgefleet model finetune`` is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgefleet_compiler.compress.settings import Augment

if TYPE_CHECKING:
    from edgefleet_compiler.data import Normalisation  # loads numpy, which `--help` does without


@dataclass(frozen=True)
class FinetuneOptions:
    """One request.

    Attributes:
        model: The model whose weights are trained on.
        data: Cases: an ``.npz`` or a folder of images.
        out: The folder of the run.
        teacher: A model whose outputs the trained one is to give, too; None takes the source where it was changed.
        validation: Cases that say which epoch is the best; None holds out a tenth of ``data``.
        prune: The share of multiply-accumulates that goes before; None for none.
        recipe: What to round like while training: int8, int16x8, weight-only, or a recipe file; None for not at all.
        epochs: Passes over the cases, at most; None for the usual number, as with what follows.
        batch: Cases in a step.
        learning_rate: The largest step of a weight, in relation to the weights of its layer.
        distill: The share of the loss that asks for what the teacher says.
        temperature: What logits are divided by before teacher and student are compared.
        patience: Epochs without a better one after which training ends.
        augment: What is done to images at random.
        seed: Of everything random.
        resume: Whether a run that was stopped is to go on.
        normalisation: What is done to the pixels of image folders; None if nothing was said.
        input_shapes: Shapes for inputs that the model leaves open, by name.
    """

    model: Path
    data: Path
    out: Path
    teacher: Path | None = None
    validation: Path | None = None
    prune: float | None = None
    recipe: str | None = None
    epochs: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    distill: float | None = None
    temperature: float | None = None
    patience: int | None = None
    augment: Augment | None = None
    seed: int = 0
    resume: bool = False
    normalisation: Normalisation | None = None
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
