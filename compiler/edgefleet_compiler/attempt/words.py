"""What a person should know of an attempt, in sentences."""

from __future__ import annotations

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.attempt.speed import Speed
from edgefleet_compiler.checks.accuracy import LOW_SQNR_DB, drop_limit, guesses
from edgefleet_compiler.checks.advice import finer_recipe, wider_layers
from edgefleet_compiler.checks.layers import DROWNED, DROWNED_BY_WEIGHTS, LEFT_IN_FLOAT, Layer
from edgefleet_compiler.checks.measure import Measurement
from edgefleet_compiler.data.evaluation import Origin
from edgefleet_compiler.keeping import SCHEME
from edgefleet_compiler.layer_names import short_name
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.source import Source
from edgefleet_hardware.profile import TargetProfile
from edgefleet_hardware.units import format_bytes

_LOW_AGREEMENT = 0.95
_LAYERS_NAMED = 3
_MUCH_IN_FLOAT = 0.1  # of the bytes of all constants
_PRUNED_AND_FELT = 0.01  # of accuracy
_MUCH_LARGER, _MUCH_LARGER_BYTES = 0.01, 1024  # a larger artifact is worth a word from both on


def warn_of_measurement(measurement: Measurement, origin: Origin, options: CompileOptions) -> list[str]:
    """What the data cannot tell, and what it tells of a loss that no gate refuses."""
    warnings = []
    accuracy = measurement.accuracy
    if origin == "random":
        warnings.append("No data was given: parity is measured on random inputs, accuracy is not measured.")
    elif origin == "calibration":
        told = "is not measured" if accuracy is None else "is measured on the calibration set, which flatters"
        warnings.append(f"No validation set was given: the loss of accuracy {told}.")
    if accuracy is not None and guesses(accuracy):
        warnings.append(
            f"The source itself has {accuracy.metric} {accuracy.baseline:.4f}, and guessing has "
            f"{accuracy.chance:.4f} (n={accuracy.n}, not to be told apart): do the labels belong to this model?"
        )
    if accuracy is not None and drop_limit(options, accuracy) is None and accuracy.compiled < _LOW_AGREEMENT:
        warnings.append(
            f"The artifact agrees with the source on {accuracy.compiled:.3f} of the cases. Without labels nobody "
            "can tell whether that costs accuracy: give labels, or a limit with --max-drop."
        )
    sqnr = measurement.parity[0].sqnr_db
    if sqnr is not None and sqnr < LOW_SQNR_DB:
        warnings.append(f"The outputs carry much noise against the source: {sqnr:.1f} dB.")
    return warnings


def warn_of_pruning(recipe: Recipe, measurement: Measurement) -> list[str]:
    """That what is left of pruned channels does not do as well as the whole did."""
    accuracy = measurement.accuracy
    if recipe.compress is None or recipe.compress.prune is None or recipe.compress.finetune is not None:
        return []
    if accuracy is None or accuracy.drop < _PRUNED_AND_FELT:
        return []
    fell = f"Channels were pruned, and {accuracy.metric} fell by {accuracy.drop:.4f}."
    return [f"{fell} Train what is left: `edgefleet model finetune MODEL --data F.npz --prune RATIO`; or prune less."]


def warn_of_recipe(asked: Recipe, artifact: Artifact) -> list[str]:
    """That a recipe changed nothing of the model."""
    if artifact.recipe.scheme == asked.scheme:
        return []
    nothing = {
        "int8": "no layer of the model has an int8 form",
        "int16x8": "no layer of the model has a form in 16-bit integers",
        "fp16": "the model has no weights large enough to store in 16 bits",
    }
    reason = nothing.get(asked.scheme, "the model has no weights large enough to store as integers")
    return [f"The recipe {asked.scheme} changes nothing, as {reason}: this is the recipe float."]


def warn_of_layers(layers: list[Layer], profile: TargetProfile) -> list[str]:
    """Layers whose output, or a part of it, is drowned in the noise of its own rounding; each cause in a sentence."""
    drowned = [layer for layer in layers if layer.cause in (DROWNED, DROWNED_BY_WEIGHTS) and not layer.drowned_parts]
    by_weights = [layer for layer in drowned if layer.cause == DROWNED_BY_WEIGHTS]
    otherwise = [layer for layer in drowned if layer.cause == DROWNED]
    recipe, wider = finer_recipe(profile), wider_layers(profile)
    return [
        *_drowning(
            [_named_parts(layer) for layer in layers if layer.drowned_parts],
            "Noise drowns what shares a tensor, and so a scale, with much larger values",
            f"They may all be rounded to the same. Use --recipe {recipe}, let the layer that joins them compute in "
            f"{wider}, or give them an output of their own.",
        ),
        *_drowning(
            list(map(_named, by_weights)),
            "Noise drowns what these layers give, though not what they take",
            "Their weights have 4 bits: give them 8.",
        ),
        *_drowning(
            list(map(_named, otherwise)),
            "Noise drowns what these layers give, though not what they take",
            f"Use --recipe {recipe}, or let them compute in {wider}.",
        ),
    ]


def warn_of_float(layers: list[Layer], recipe: Recipe) -> list[str]:
    """That much of the weights of a model that was to compute in integers has no such form."""
    left = sorted(
        (layer for layer in layers if layer.cause == LEFT_IN_FLOAT and layer.bytes), key=lambda layer: -layer.bytes
    )
    share = sum(layer.bytes for layer in left) / max(1, sum(layer.bytes for layer in layers))
    if not left or share < _MUCH_IN_FLOAT:
        return []
    named = [f"{short_name(layer.name)!r} ({layer.operator})" for layer in left]
    have = "has" if len(left) == 1 else "have"
    return [f"{share:.0%} of the bytes of all constants stay float: {_some(named)} {have} no form in {recipe.scheme}."]


def _some(named: list[str]) -> str:
    """The first of them, and how many there are beside."""
    more = f" and {len(named) - _LAYERS_NAMED} more" if len(named) > _LAYERS_NAMED else ""
    return f"{', '.join(named[:_LAYERS_NAMED])}{more}"


def _drowning(named: list[str], told: str, remedy: str) -> list[str]:
    return [f"{told}: {_some(named)}. {remedy}"] if named else []


def _named(layer: Layer) -> str:
    return f"{short_name(layer.name)!r} ({layer.sqnr_db:.1f} dB)"


def _named_parts(layer: Layer) -> str:
    """The layer alone, where what drowns is all that it gives; else the parts of what it joins."""
    if layer.drowned_parts == (layer.name,):
        return _named(layer)
    parts = " and ".join(repr(short_name(name)) for name in layer.drowned_parts)
    return f"{parts} in {short_name(layer.name)!r}"


def warn_of_size(source: Source, artifact: Artifact) -> list[str]:
    """That an artifact is larger than the source."""
    size, size_of_source = len(artifact.data), len(source.file.runnable)
    if size - size_of_source < max(_MUCH_LARGER * size_of_source, _MUCH_LARGER_BYTES):
        return []
    reason = ", whose constants are stored narrower" if source.stores_narrower else ""
    sizes = f"{format_bytes(size)} against {format_bytes(size_of_source)}"
    return [f"The artifact is larger than the source{reason}: {sizes}."]


def warn_of_speed(recipe: Recipe, speed: Speed) -> list[str]:
    """That an artifact is slower than the float model, and where it loses."""
    if speed.slowness is None or recipe.scheme == "float":
        return []
    subject = "The source's own quantisation" if recipe.scheme == SCHEME else recipe.scheme
    return [f"{subject} {speed.slowness}."]
