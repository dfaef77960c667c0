"""The recipe for a source that is quantised already: its own integers and scales, as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgefleet_contract.errors import RecipeUnfit

if TYPE_CHECKING:
    from edgefleet_compiler.lowered.graph import LoweredGraph
    from edgefleet_compiler.options import CompileOptions
    from edgefleet_compiler.recipe import Io, Recipe
    from edgefleet_hardware.profile import Format, TargetProfile

SCHEME: Final = "source"


@dataclass(frozen=True)
class Quantised:
    """What a recipe has to know of a source that is quantised.

    Attributes:
        format: Of the source.
        activations: Element types of its activations: "int8" or "int16", sorted.
        real_border: Whether it takes or gives float32.
    """

    format: str
    activations: tuple[str, ...]
    real_border: bool

    def keeps_border(self, artifact: Format) -> bool:
        """Whether an artifact of this format can have the source's inputs and outputs: ONNX has other integers."""
        return self.format == artifact == "tflite"


def default_io(source: Quantised, artifact: Format, profile: TargetProfile) -> Io:
    """The type of inputs and outputs where nothing was said: the source's where it can be kept, else the target's."""
    if source.keeps_border(artifact) and not (profile.int8_only and source.real_border):
        return "source"
    return "int8" if profile.int8_only else "float"


def check_asked(options: CompileOptions, source: Quantised) -> None:
    """Refuse recipes that would have to undo the quantisation.

    Raises:
        RecipeUnfit: It is one of these.
    """
    same = "int8" if "int8" in source.activations else "int16x8"
    kept = ("auto", SCHEME, same)
    if options.recipe not in kept:
        raise RecipeUnfit(
            f"The source is quantised already ({', '.join(source.activations)} activations), and the recipe is "
            f"{options.recipe!r}, which would have to undo that",
            expected=f"--recipe {' or '.join(kept)}: the integers and scales that it has",
            remedy="Compile the float model that it was made from.",
            recipe=options.recipe,
        )


def check_kernels(graph: LoweredGraph | None, recipe: Recipe, profile: TargetProfile) -> None:
    """Refuse weights that came with the source and that the target's kernels do not take.

    Args:
        graph: What was exported; None where it is no TFLite.
        recipe: What was done.
        profile: The target.

    Raises:
        RecipeUnfit: Fully connected weights have a scale per channel, and the kernels take one.
    """
    if graph is None or recipe.scheme != SCHEME or profile.quantiser.per_channel_fully_connected:
        return
    unfit = [
        operator.outputs[0]
        for operator in graph.operators
        if operator.kind == "FULLY_CONNECTED" and _per_channel(graph, operator.inputs[1])
    ]
    if unfit:
        raise RecipeUnfit(
            f"The kernels of {profile.name!r} take fully connected weights with one scale, and the source has one per "
            f"channel: {', '.join(map(repr, unfit))}",
            remedy="Compile the float model that it was made from, or quantise that per tensor.",
            target=profile.name,
        )


def _per_channel(graph: LoweredGraph, name: str | None) -> bool:
    quantisation = None if name is None else graph.tensors[name].quantisation
    return quantisation is not None and quantisation.per_channel


def check_kept(recipe: Recipe, source: Quantised | None) -> None:
    """Refuse an explicit recipe that does not go with the source.

    Raises:
        RecipeUnfit: It quantises a quantised source, keeps the quantisation of a float one, or a border that the
            format does not have.
    """
    if (recipe.scheme == SCHEME) != (source is not None):
        state = "float" if source is None else "quantised already"
        raise RecipeUnfit(
            f"The source is {state}, and the recipe is {recipe.scheme!r}",
            expected=f"the recipe {SCHEME!r} for quantised sources, and others for float ones",
            recipe=recipe.scheme,
        )
    if recipe.io == "source" and source is not None and not source.keeps_border(recipe.format):
        raise RecipeUnfit(
            f"An artifact in {recipe.format!r} of a source in {source.format!r} cannot have its inputs and outputs",
            expected="io float or int8",
            recipe=recipe.scheme,
        )
