"""The float hub with that taken away which a recipe says: the steps, and their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from edgefleet_compiler.compress.channels.prune import prune
from edgefleet_compiler.compress.low_rank.factored import factored
from edgefleet_compiler.compress.record import Compressed
from edgefleet_compiler.compress.settings import Compression
from edgefleet_compiler.compress.taken import Taken, compression_record, counted, factored_layers, pruned_groups
from edgefleet_compiler.data import DataSet
from edgefleet_compiler.finetune.step import finetuned
from edgefleet_compiler.hub.graph import products
from edgefleet_compiler.layer_names import short_name
from edgefleet_compiler.passes.record import PassRecord, recorded
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.source import Source
from edgefleet_compiler.tensors import Sample


@dataclass(frozen=True)
class Means:
    """What steps work with.

    Attributes:
        source: The model as it came; who learns learns from it.
        data: The calibration set.
        cases: Typical inputs as the hub takes them, batch 1.
        plenty: More of them, for least squares.
        seed: Of everything random.
        progress: Told of what takes long.
    """

    source: Source
    data: DataSet
    cases: Sequence[Sample]
    plenty: Sequence[Sample]
    seed: int
    progress: Progress


@dataclass(frozen=True)
class Step:
    """One way to take something away.

    Attributes:
        name: For reports.
        effect: What a compression asks of it, in words; empty for nothing.
        run: Does it, and gives a new hub in hub normal form.
        taken: The parts of a hub that a compression makes smaller by it.
    """

    name: str
    effect: Callable[[Compression], str]
    run: Callable[[ir.Model, Compression, Means], ir.Model]
    taken: Callable[[ir.Model, Compression], Sequence[Taken]]


def _channels(compression: Compression) -> str:
    prune = compression.prune
    if prune is None or not prune.keep:
        return ""
    return f"channels of {counted(len(prune.keep), 'group')}, by {prune.saliency}"


def _pruned(hub: ir.Model, compression: Compression, means: Means) -> ir.Model:
    assert compression.prune is not None
    return prune(hub, compression.prune, means.plenty)


def _chains(compression: Compression) -> str:
    return ", ".join(f"{short_name(layer)} {words}" for layer, words in compression.low_rank.items())


def _factored(hub: ir.Model, compression: Compression, means: Means) -> ir.Model:
    return factored(hub, compression.low_rank, means.cases, means.progress)


def _epochs(compression: Compression) -> str:
    finetune = compression.finetune
    return "" if finetune is None else f"at most {finetune.epochs} epochs over the calibration set"


def _finetuned(hub: ir.Model, compression: Compression, means: Means) -> ir.Model:
    assert compression.finetune is not None
    return finetuned(hub, compression.finetune, means.source, means.data, seed=means.seed, progress=means.progress)


def _no_parts(_hub: ir.Model, _compression: Compression) -> Sequence[Taken]:
    return ()


STEPS: tuple[Step, ...] = (
    Step("prune channels", _channels, _pruned, pruned_groups),
    Step("factor layers", _chains, _factored, factored_layers),
    Step("fine-tune", _epochs, _finetuned, _no_parts),
)
"""In their order: what changes shapes first, what makes up for it last."""


def compressed(hub: ir.Model, compression: Compression, means: Means) -> Compressed:
    """Take away of a hub what a recipe says.

    Args:
        hub: Float, in hub normal form; it is not changed.
        compression: What to do.
        means: To do it with.

    Raises:
        RecipeMalformed: The compression names what is not there.
        RecipeUnfit: It asks for what a part of the model does not take.
    """
    source, taken, records = hub, list[Taken](), list[PassRecord]()
    for step in STEPS:
        if effect := step.effect(compression):
            before = products(hub.graph)
            with recorded(records, step.name, effect):
                smaller = step.run(hub, compression, means)
            taken += step.taken(hub, compression)
            hub = smaller
            if (after := products(hub.graph)) != before:
                records[-1] = replace(records[-1], effect=f"{effect}; {_saved(before, after)}")
    record = compression_record(source, hub, taken, compression)
    return Compressed(hub, tuple(records), record)


def _saved(before: int, after: int) -> str:
    share = abs(1 - after / max(before, 1))
    return f"{100 * share:.0f} % of the multiply-accumulates {'gone' if after < before else 'more'}"
