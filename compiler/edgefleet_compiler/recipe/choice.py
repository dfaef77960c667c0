"""Which recipes are tried for a target: what was asked for, with the target's defaults where it is left open."""

from __future__ import annotations

from pathlib import Path

from edgefleet_compiler.keeping import SCHEME, Quantised, check_asked, check_kept, default_io
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.recipe.file import read_recipe
from edgefleet_compiler.recipe.form import QUANTISING, STATIC, Recipe, Scheme
from edgefleet_contract.errors import CalibrationMissing, RecipeMalformed, RecipeUnfit, UsageMalformed
from edgefleet_hardware.profile import Dtype, TargetProfile

_AUTO = "auto"
_NAMES = (_AUTO, *QUANTISING, "fp16", "float", SCHEME)


def candidates(options: CompileOptions, profile: TargetProfile, quantised: Quantised | None = None) -> list[Recipe]:
    """The recipes to try for one target, in order; the first that loses no more accuracy than allowed is shipped.

    ``auto`` with a calibration set gives int8, then fp16 where the target runs it; without one, fp16. Every other
    request gives itself alone. Of a source that is quantised already, ``auto`` and ``int8`` keep what it has.

    Args:
        options: The request.
        profile: The target.
        quantised: What is known of a source that is quantised already; None for float ones.

    Raises:
        CalibrationMissing: int8 was asked for without a calibration set.
        RecipeUnfit: The target cannot run what is asked for.
        RecipeMalformed: The recipe is no known name and no readable recipe file.
        UsageMalformed: Options that contradict the recipe, or what this version does not offer.
    """
    if options.recipe.endswith(".toml"):
        return [_checked(read_recipe(Path(options.recipe), options), options, profile, quantised)]
    check_recipe(options)
    if quantised is not None:
        check_asked(options, quantised)
        return [_checked(_keep(options, profile, quantised), options, profile, quantised)]
    if options.recipe != _AUTO:
        scheme: Scheme = options.recipe  # type: ignore[assignment]  # one of _NAMES, and not auto
        return [_checked(_build(scheme, options, profile), options, profile)]
    return [_checked(_build(scheme, options, profile), options, profile) for scheme in _ladder(options, profile)]


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


def _ladder(options: CompileOptions, profile: TargetProfile) -> list[Scheme]:
    if options.calibration is None and profile.int8_only:
        raise RecipeUnfit(
            f"The target {profile.name!r} runs only int8, which needs a calibration set, and none was given",
            remedy="Give about 200 typical inputs with --calibration F.npz.",
            target=profile.name,
        )
    ladder: list[Scheme] = [] if options.calibration is None else ["int8"]
    if profile.runs("float16") and options.io != "int8":
        ladder.append("fp16")
    if not ladder:
        raise CalibrationMissing("--io int8 needs a calibration set", remedy="Give one with --calibration F.npz.")
    return ladder


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
    settings = _settings(profile) if scheme in QUANTISING else None
    try:
        return Recipe(
            scheme=scheme,
            format=options.format or profile.formats[0],
            io=options.io or ("int8" if profile.int8_only else "float"),
            io_layout=options.io_layout or "source",
            seed=options.seed or 0,
            quantise=settings,
        )
    except ValueError as cause:
        raise UsageMalformed(f"--io int8 does not go with --recipe {scheme}", expected="--recipe int8") from cause


def _settings(profile: TargetProfile) -> Settings:
    """What the target's kernels ask for, and nothing that has to be measured."""
    per_channel = profile.quantiser.per_channel_fully_connected
    return Settings(fully_connected="per-channel" if per_channel else "per-tensor")


def _checked(
    recipe: Recipe, options: CompileOptions, profile: TargetProfile, quantised: Quantised | None = None
) -> Recipe:
    check_kept(recipe, quantised)
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
    if recipe.scheme in STATIC and options.calibration is None:
        raise CalibrationMissing(
            f"The recipe is {recipe.scheme}, and no calibration set was given",
            expected="--calibration F.npz with about 200 typical inputs",
            remedy="Without one, `--recipe auto` falls back to fp16 where the target runs it.",
        )
    return recipe


def _check_runs(scheme: Scheme, profile: TargetProfile) -> None:
    needed: dict[Scheme, Dtype] = {
        "int8": "int8",
        "int16x8": "int8",
        "dynamic": "float32",
        "weight-only": "float32",
        "fp16": "float16",
        "float": "float32",
        SCHEME: "int8",
    }
    if not profile.runs(needed[scheme]):
        raise RecipeUnfit(
            f"The target {profile.name!r} does not run the recipe {scheme!r}",
            expected=f"one that computes with {', '.join(profile.dtypes)}",
            target=profile.name,
            recipe=scheme,
        )
