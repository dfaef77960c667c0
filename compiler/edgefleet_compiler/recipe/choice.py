"""Which recipes are tried for a target: what was asked for, with the target's defaults where it is left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from edgefleet_compiler.keeping import SCHEME, Quantised, check_asked
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.recipe.defaults import build, keep
from edgefleet_compiler.recipe.file import read_recipe
from edgefleet_compiler.recipe.fits import NEEDED, checked
from edgefleet_compiler.recipe.form import QUANTISING, Recipe, Scheme
from edgefleet_compiler.recipe.rungs import RUNGS, LadderFile, Rung, RungName, Tuning
from edgefleet_contract.errors import CalibrationMissing, RecipeMalformed, RecipeUnfit
from edgefleet_hardware.profile import TargetProfile

_AUTO = "auto"
_NAMES = (_AUTO, *QUANTISING, "fp16", "float", SCHEME)

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
            return [Rung(written.scheme, checked(written, options, profile, quantised))]
        options, names = _asked_by(written, options), tuple(name for name in RUNGS if name in written.rungs)
    check_recipe(options)
    if quantised is not None:
        check_asked(options, quantised)
        return [Rung(SCHEME, checked(keep(options, profile, quantised), options, profile, quantised))]
    if options.recipe != _AUTO:
        scheme: Scheme = options.recipe  # type: ignore[assignment]  # one of _NAMES, and not auto
        # What is measured of typical inputs stays as it is where there are none.
        tuning = "none" if options.calibration is None else _TUNINGS.get(scheme, "none")
        return [Rung(scheme, checked(build(scheme, options, profile), options, profile), tuning)]
    return [
        rung
        for name in _ladder(options, profile, names)
        for rung in _rungs_called(name, checked(build(_SCHEMES[name], options, profile), options, profile))
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
