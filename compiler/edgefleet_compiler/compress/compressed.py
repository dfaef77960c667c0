"""The float hub with that taken away which a recipe says: the steps, and their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from edgefleet_compiler.compress.channels.prune import prune
from edgefleet_compiler.compress.settings import Compression
from edgefleet_compiler.hub.graph import products
from edgefleet_compiler.passes.record import PassRecord, recorded
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.tensors import Sample


@dataclass(frozen=True)
class Means:
    """What steps work with.

    Attributes:
        cases: Typical inputs as the hub takes them, batch 1.
        seed: Of everything random.
        progress: Told of what takes long.
    """

    cases: Sequence[Sample]
    seed: int
    progress: Progress


@dataclass(frozen=True)
class Step:
    """One way to take something away.

    Attributes:
        name: For reports.
        effect: What a compression asks of it, in words; empty for nothing.
        run: Does it, and gives a new hub in hub normal form.
    """

    name: str
    effect: Callable[[Compression], str]
    run: Callable[[ir.Model, Compression, Means], ir.Model]


def _channels(compression: Compression) -> str:
    prune = compression.prune
    return "" if prune is None or not prune.keep else f"channels of {len(prune.keep)} groups, by {prune.saliency}"


def _pruned(hub: ir.Model, compression: Compression, means: Means) -> ir.Model:
    assert compression.prune is not None
    return prune(hub, compression.prune, means.cases)


STEPS: tuple[Step, ...] = (Step("prune channels", _channels, _pruned),)
"""In their order: what changes shapes first, what makes up for it last."""


@dataclass(frozen=True)
class Compressed:
    """What came of a compression.

    Attributes:
        hub: Float, in hub normal form.
        passes: What was done, in order.
    """

    hub: ir.Model
    passes: tuple[PassRecord, ...]


def compressed(hub: ir.Model, compression: Compression | None, means: Means) -> Compressed:
    """Take away of a hub what a recipe says.

    Args:
        hub: Float, in hub normal form; it is not changed.
        compression: What to do; None for nothing.
        means: To do it with.

    Raises:
        RecipeMalformed: The compression names what is not there.
        RecipeUnfit: It asks for what a part of the model does not take.
    """
    records: list[PassRecord] = []
    for step in STEPS if compression is not None else ():
        assert compression is not None
        if effect := step.effect(compression):
            before = products(hub.graph)
            with recorded(records, step.name, effect):
                hub = step.run(hub, compression, means)
            records[-1] = replace(records[-1], effect=f"{effect}; {_saved(before, products(hub.graph))}")
    return Compressed(hub, tuple(records))


def _saved(before: int, after: int) -> str:
    return f"{1 - after / max(before, 1):.0%} of the multiply-accumulates"
