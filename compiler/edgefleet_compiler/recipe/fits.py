"""Whether a recipe fits its target, its options and what is known of the source; else why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edgefleet_compiler.keeping import SCHEME, Quantised, check_kept
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.recipe.form import STATIC, Recipe, Scheme
from edgefleet_contract.errors import CalibrationMissing, RecipeUnfit, UsageMalformed
from edgefleet_hardware.profile import Dtype, Format, TargetProfile

NEEDED: Final[Mapping[Scheme, Dtype]] = {
    "int8": "int8",
    "int16x8": "int8",
    "dynamic": "float32",
    "weight-only": "float32",
    "fp16": "float16",
    "float": "float32",
    SCHEME: "int8",
}
"""The element type that a target must compute with."""


def checked(
    recipe: Recipe, options: CompileOptions, profile: TargetProfile, quantised: Quantised | None = None
) -> Recipe:
    """The very recipe, which fits.

    Args:
        recipe: Explicit.
        options: The request.
        profile: The target.
        quantised: What is known of a source that is quantised already; None for float ones.

    Raises:
        RecipeUnfit: The target, its kernels, or the source do not take it.
        CalibrationMissing: Typical inputs decide something of it, and there are none.
        UsageMalformed: An option contradicts it.
    """
    check_kept(recipe, quantised)
    if options.prune is not None:
        _check_may_be_pruned(recipe, options)
    check_runs(recipe.scheme, profile)
    if recipe.format not in profile.formats:
        raise RecipeUnfit(
            f"The target {profile.name!r} takes no {recipe.format!r} artifacts",
            expected=f"one of {', '.join(profile.formats)}",
            target=profile.name,
        )
    per_channel = recipe.quantise is not None and recipe.quantise.fully_connected == "per-channel"
    if per_channel and not profile.quantiser.per_channel_fully_connected:
        raise RecipeUnfit(
            f"The kernels of {profile.name!r} take fully connected weights with one scale, not one per channel",
            remedy='Set fully-connected = "per-tensor" in the recipe.',
            target=profile.name,
        )
    if saturates(recipe.scheme, recipe.format, profile) and not recipe.settings.narrow_pairs:
        raise RecipeUnfit(
            f"The recipe has narrow-pairs = false: on a {profile.name!r} without VNNI sums of products would saturate",
            expected="narrow-pairs = true",
            remedy="Set that in the recipe, or compile for x86-64-vnni where all machines are known to have VNNI.",
            target=profile.name,
        )
    if recipe.format == "tflite" and recipe.quantise is not None and recipe.quantise.has_palettes:
        raise RecipeUnfit(
            "The recipe has weights of a palette, and TFLite has no form for them: they would take 8 bits",
            expected='weights = "int4", or the format onnx',
            target=profile.name,
        )
    if options.calibration is None:
        _check_needs_no_calibration(recipe)
    return recipe


def check_runs(scheme: Scheme, profile: TargetProfile) -> None:
    """Refuse a scheme whose element type the target does not compute with.

    Raises:
        RecipeUnfit: It does not.
    """
    if not profile.runs(NEEDED[scheme]):
        raise RecipeUnfit(
            f"The target {profile.name!r} does not run the recipe {scheme!r}",
            expected=f"one that computes with {', '.join(profile.dtypes)}",
            target=profile.name,
            recipe=scheme,
        )


def saturates(scheme: Scheme, artifact_format: Format, profile: TargetProfile) -> bool:
    """Whether sums of two products may leave 16 bits on machines of the target."""
    return profile.quantiser.saturating_pairs and artifact_format == "onnx" and scheme in ("int8", "dynamic")


def _check_may_be_pruned(recipe: Recipe, options: CompileOptions) -> None:
    """Refuse --prune where weights cannot change, where a recipe says it already, and where nothing shows the loss."""
    if recipe.scheme == SCHEME:
        raise RecipeUnfit(
            "The source is quantised already, and --prune would have to change its weights",
            remedy="Prune the float model that it was made from.",
            recipe=recipe.scheme,
        )
    if recipe.compress is not None and recipe.compress.prune is not None:
        raise UsageMalformed(
            f"--prune is {options.prune:g}, and the recipe has a table [compress.prune]",
            remedy="Leave the option out, or take the table out of the recipe.",
        )
    if options.calibration is None:
        raise CalibrationMissing(
            "--prune was given, and typical inputs decide which channels go: there is no calibration set",
            expected="--calibration F.npz with some hundred typical inputs",
        )


def _check_needs_no_calibration(recipe: Recipe) -> None:
    expected = "--calibration F.npz with about 200 typical inputs"
    if recipe.scheme in STATIC:
        raise CalibrationMissing(
            f"The recipe is {recipe.scheme}, and no calibration set was given",
            expected=expected,
            remedy="Without one, `--recipe auto` falls back to fp16 where the target runs it.",
        )
    if recipe.compress is not None:
        raise CalibrationMissing(
            "The recipe has a table [compress], which typical inputs decide, and there is no calibration set",
            expected=expected,
            remedy="Without one, take the table out of the recipe.",
        )
    if recipe.quantise is None:
        return
    settings, usual = recipe.quantise, Settings()
    decided = {
        f'equalise = "{settings.equalise}"': settings.equalise != usual.equalise,
        f'rounding = "{settings.rounding}"': settings.rounding != usual.rounding,
        "bias-correction = true": settings.bias_correction != usual.bias_correction,
    }
    asked = " and ".join(words for words, is_asked in decided.items() if is_asked)
    if asked:
        raise CalibrationMissing(
            f"The recipe is {recipe.scheme} with {asked}, which typical inputs decide, and there is no calibration set",
            expected=expected,
            remedy=f"Without one, take {asked} out of the recipe.",
        )
