"""Which recipes are tried for a target: what was asked for, with the target's defaults where it is left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from edgefleet_compiler.keeping import SCHEME, Quantised, check_asked, check_kept, default_io
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.recipe.file import read_recipe
from edgefleet_compiler.recipe.form import QUANTISING, STATIC, Recipe, Scheme
from edgefleet_compiler.recipe.rungs import RUNGS, LadderFile, Rung, RungName, Tuning
from edgefleet_contract.errors import CalibrationMissing, RecipeMalformed, RecipeUnfit, UsageMalformed
from edgefleet_hardware.profile import Dtype, Format, TargetProfile

_AUTO = "auto"
_NAMES = (_AUTO, *QUANTISING, "fp16", "float", SCHEME)

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

_SCHEMES: Final[Mapping[RungName, Scheme]] = {
    "int8": "int8",
    "int8-refined": "int8",
    "mixed-fast": "int8",
    "dynamic": "dynamic",
    "mixed": "int8",
    "int16x8": "int16x8",
    "weight-only": "weight-only",
    "fp16": "fp16",
    "float": "float",
}
_TUNINGS: Final[Mapping[str, Tuning]] = {
    "int8": "quick",
    "int8-refined": "thorough",
    "mixed-fast": "fast",
    "dynamic": "rounding",
    "int16x8": "rounding",
    "weight-only": "rounding",
}
_FREE: Final = ("int8", "int8-refined", "mixed-fast")
"""Rungs that cost a device the same or less, so that the better one is worth its search even where the first would do;
mixed-fast has nothing to try where int8 is clearly faster than float."""

_GAINS_DB: Final = (3.0, 6.0, 12.0)
"""What mixed precision is to gain: half of the noise power, then a quarter, then a sixteenth."""

_INTEGER: Final = ("int8", "int8-refined", "mixed")
"""Rungs whose inputs and outputs can be int8."""


def rungs_for(options: CompileOptions, profile: TargetProfile, quantised: Quantised | None = None) -> list[Rung]:
    """What is tried for one target, in order.

    ``auto`` with a calibration set gives every rung that the target runs; without one, fp16. Every other request gives
    itself alone. Of a source that is quantised already, ``auto`` and ``int8`` keep what it has.

    Args:
        options: The request.
        profile: The target.
        quantised: What is known of a source that is quantised already; None for float ones.

    Raises:
        CalibrationMissing: int8 was asked for without a calibration set.
        RecipeUnfit: The target cannot run what is asked for.
        RecipeMalformed: The recipe is no known name and no readable recipe file.
        UsageMalformed: Options that contradict the recipe.
    """
    names: tuple[RungName, ...] = RUNGS
    if options.recipe.endswith(".toml"):
        written = read_recipe(Path(options.recipe), options)
        if isinstance(written, Recipe):
            return [Rung(written.scheme, _checked(written, options, profile, quantised))]
        options, names = _asked_by(written, options), tuple(name for name in RUNGS if name in written.rungs)
    check_recipe(options)
    if quantised is not None:
        check_asked(options, quantised)
        return [Rung(SCHEME, _checked(_keep(options, profile, quantised), options, profile, quantised))]
    if options.recipe != _AUTO:
        scheme: Scheme = options.recipe  # type: ignore[assignment]  # one of _NAMES, and not auto
        # What is measured of typical inputs stays as it is where there are none.
        tuning = "none" if options.calibration is None else _TUNINGS.get(scheme, "none")
        return [Rung(scheme, _checked(_build(scheme, options, profile), options, profile), tuning)]
    return [
        rung
        for name in _ladder(options, profile, names)
        for rung in _rungs_called(name, _checked(_build(_SCHEMES[name], options, profile), options, profile))
    ]


def _rungs_called(name: RungName, recipe: Recipe) -> list[Rung]:
    if name != "mixed":
        return [Rung(name, recipe, _TUNINGS.get(name, "none"), deferred=name not in _FREE)]
    return [Rung(f"mixed +{gain:.0f} dB", recipe, "mixed", deferred=True, gain_db=gain) for gain in _GAINS_DB]


def check_recipe(options: CompileOptions) -> None:
    """Refuse a recipe that no source could be compiled by, before anything is read that takes long.

    Raises:
        RecipeMalformed: It is no known name and no readable recipe file.
        UsageMalformed: Options that contradict the recipe file.
    """
    if options.recipe.endswith(".toml"):
        read_recipe(Path(options.recipe), options)
    elif options.recipe not in _NAMES:
        raise RecipeMalformed(
            f"The recipe is {options.recipe!r}", expected=f"one of {', '.join(_NAMES)}, or the path of a .toml file"
        )


def _asked_by(ladder: LadderFile, options: CompileOptions) -> CompileOptions:
    """The request with what a ladder file says."""
    return replace(
        options,
        recipe=_AUTO,
        format=options.format or ladder.format,
        io=options.io or ladder.io,
        io_layout=options.io_layout or ladder.io_layout,
        seed=ladder.seed if options.seed is None else options.seed,
    )


def _ladder(options: CompileOptions, profile: TargetProfile, names: tuple[RungName, ...]) -> list[RungName]:
    """Those of the rungs that the target, the data and the options allow."""
    if options.calibration is None:
        if profile.int8_only:
            raise RecipeUnfit(
                f"The target {profile.name!r} runs only int8, which needs a calibration set, and none was given",
                remedy="Give about 200 typical inputs with --calibration F.npz.",
                target=profile.name,
            )
        # Weights in 16 bits are the one form whose loss nobody has to measure.
        names = tuple(name for name in names if name in ("fp16", "float")) or ("fp16",)
    artifact = options.format or profile.formats[0]
    ladder = [
        name
        for name in names
        if profile.runs(NEEDED[_SCHEMES[name]])
        and (options.io != "int8" or name in _INTEGER)
        and (name != "mixed-fast" or not profile.int8_only)
        # onnxruntime rounds hardly anything at run time: there weight-only is the same, and better rounded.
        and (name != "dynamic" or artifact == "tflite")
    ]
    if ladder:
        return ladder
    if options.calibration is None:
        raise CalibrationMissing("--io int8 needs a calibration set", remedy="Give one with --calibration F.npz.")
    raise RecipeUnfit(
        f"The target {profile.name!r} runs none of the rungs {', '.join(names)} as they are asked for",
        expected=f"rungs that compute with {', '.join(profile.dtypes)}",
        target=profile.name,
    )


def _keep(options: CompileOptions, profile: TargetProfile, source: Quantised) -> Recipe:
    artifact = options.format or profile.formats[0]
    return Recipe(
        scheme=SCHEME,
        format=artifact,
        io=options.io or default_io(source, artifact, profile),
        io_layout=options.io_layout or "source",
        seed=options.seed or 0,
    )


def _build(scheme: Scheme, options: CompileOptions, profile: TargetProfile) -> Recipe:
    """The explicit recipe of a scheme: what the options leave open is the target's default."""
    _check_runs(scheme, profile)
    artifact_format = options.format or profile.formats[0]
    settings = _settings(scheme, artifact_format, profile) if scheme in QUANTISING else None
    try:
        return Recipe(
            scheme=scheme,
            format=artifact_format,
            io=options.io or ("int8" if profile.int8_only and scheme == "int8" else "float"),
            io_layout=options.io_layout or "source",
            seed=options.seed or 0,
            quantise=settings,
        )
    except ValueError as cause:
        raise UsageMalformed(f"--io int8 does not go with --recipe {scheme}", expected="--recipe int8") from cause


def _settings(scheme: Scheme, artifact_format: Format, profile: TargetProfile) -> Settings:
    """What the target's kernels ask for, and nothing that has to be measured."""
    per_channel = profile.quantiser.per_channel_fully_connected
    return Settings(
        fully_connected="per-channel" if per_channel else "per-tensor",
        narrow_pairs=_saturates(scheme, artifact_format, profile),
    )


def _saturates(scheme: Scheme, artifact_format: Format, profile: TargetProfile) -> bool:
    """Whether sums of two products may leave 16 bits on machines of the target."""
    return profile.quantiser.saturating_pairs and artifact_format == "onnx" and scheme in ("int8", "dynamic")


def _checked(
    recipe: Recipe, options: CompileOptions, profile: TargetProfile, quantised: Quantised | None = None
) -> Recipe:
    check_kept(recipe, quantised)
    if options.prune is not None:
        _check_may_be_pruned(recipe, options)
    _check_runs(recipe.scheme, profile)
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
    if _saturates(recipe.scheme, recipe.format, profile) and not recipe.settings.narrow_pairs:
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


def _check_runs(scheme: Scheme, profile: TargetProfile) -> None:
    if not profile.runs(NEEDED[scheme]):
        raise RecipeUnfit(
            f"The target {profile.name!r} does not run the recipe {scheme!r}",
            expected=f"one that computes with {', '.join(profile.dtypes)}",
            target=profile.name,
            recipe=scheme,
        )
