"""Recipes: what is done to a model for one target. Asked for by a name or a file, written back as what was done.

A written ``recipe.toml`` is explicit: it leaves nothing to a default or to a measurement, so that the same source,
data, seed and versions give the same bytes again.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from edgefleet_compiler.keeping import SCHEME, Quantised, check_asked, check_kept, default_io
from edgefleet_compiler.options import CompileOptions
from edgefleet_contract.errors import CalibrationMissing, RecipeMalformed, RecipeUnfit, UsageMalformed
from edgefleet_hardware.profile import Dtype, Format, TargetProfile
from edgefleet_hardware.toml_faults import plain_fault

Scheme = Literal["int8", "fp16", "float", "source"]
Io = Literal["float", "int8", "source"]
IoLayout = Literal["source", "native"]

_RECIPE_LIMIT = 64 * 1024  # bytes
_AUTO = "auto"
_INT16X8 = "int16x8"
_NAMES = (_AUTO, "int8", "fp16", "float", SCHEME, _INT16X8)


class Int8Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """How int8 parameters are found.

    Attributes:
        calibration: How the range of an activation comes from the calibration set.
        fully_connected: How many scales the weights of a fully connected layer have.
    """

    calibration: Literal["min-max"] = "min-max"
    fully_connected: Literal["per-channel", "per-tensor"] = "per-channel"


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """An explicit recipe.

    Attributes:
        version: Of this form.
        scheme: int8: weights and activations; fp16: weights stored in 16 bits, computed in float32; float: unchanged;
            source: a source that is quantised already, with its own integers and scales.
        format: Of the artifact.
        io: Element type of the artifact's inputs and outputs; "source" keeps those of a quantised TFLite source.
        io_layout: Axis order of the artifact's 4-D inputs and outputs: the source's, or that of the runtime's kernels.
        seed: Of everything random.
        int8: Settings of the int8 scheme; None for others.
    """

    version: Literal[1] = 1
    scheme: Scheme
    format: Format
    io: Io
    io_layout: IoLayout
    seed: int
    int8: Int8Settings | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            ValueError: They do not; msgspec makes a ``ValidationError`` of it.
        """
        if (self.scheme == "int8") != (self.int8 is not None):
            raise ValueError("the table [int8] belongs to the scheme int8, and only to it")
        if self.io == "int8" and self.scheme not in ("int8", SCHEME):
            raise ValueError(f"io int8 needs the scheme int8, not {self.scheme}")
        if self.io == "source" and self.scheme != SCHEME:
            raise ValueError(f"io source needs the scheme source, not {self.scheme}")

    def to_toml(self) -> str:
        """The recipe as the text of ``recipe.toml``."""
        lines = [
            "# What was done to the model. Replay it: edgefleet model compile MODEL --recipe recipe.toml ...",
            f"version = {self.version}",
            f'scheme = "{self.scheme}"',
            f'format = "{self.format}"',
            f'io = "{self.io}"',
            f'io-layout = "{self.io_layout}"',
            f"seed = {self.seed}",
        ]
        if self.int8 is not None:
            lines += [
                "",
                "[int8]",
                f'calibration = "{self.int8.calibration}"',
                f'fully-connected = "{self.int8.fully_connected}"',
            ]
        return "\n".join(lines) + "\n"


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
        return [_checked(_from_file(Path(options.recipe), options), options, profile, quantised)]
    check_recipe(options)
    if quantised is not None:
        check_asked(options, quantised)
        return [_checked(_keep(options, profile, quantised), options, profile, quantised)]
    if options.recipe == _INT16X8:
        raise UsageMalformed(
            f"This version makes no {_INT16X8!r} of a float source; it keeps sources that are quantised so",
            expected=f"one of {', '.join(name for name in _NAMES if name != _INT16X8)}",
        )
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
        _from_file(Path(options.recipe), options)
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
    int8 = None
    if scheme == "int8":
        per_channel = profile.quantiser.per_channel_fully_connected
        int8 = Int8Settings(fully_connected="per-channel" if per_channel else "per-tensor")
    try:
        return Recipe(
            scheme=scheme,
            format=options.format or profile.formats[0],
            io=options.io or ("int8" if profile.int8_only else "float"),
            io_layout=options.io_layout or "source",
            seed=options.seed or 0,
            int8=int8,
        )
    except ValueError as cause:
        raise UsageMalformed(f"--io int8 does not go with --recipe {scheme}", expected="--recipe int8") from cause


def _from_file(path: Path, options: CompileOptions) -> Recipe:
    try:
        with path.open("rb") as file:
            text = file.read(_RECIPE_LIMIT + 1)
        if len(text) > _RECIPE_LIMIT:
            raise RecipeMalformed(f"The recipe {str(path)!r} is too long", expected=f"at most {_RECIPE_LIMIT} bytes")
        recipe = msgspec.convert(tomllib.loads(text.decode()), Recipe)
    except OSError as cause:
        raise RecipeMalformed(f"The recipe {str(path)!r} cannot be read: {cause.strerror}") from cause
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as cause:
        raise RecipeMalformed(
            f"The recipe {str(path)!r} cannot be read: {plain_fault(cause)}",
            expected="a recipe.toml that edgefleet wrote",
        ) from cause
    asked = {"format": options.format, "io": options.io, "io_layout": options.io_layout, "seed": options.seed}
    for option, value in asked.items():
        if value is not None and value != getattr(recipe, option):
            raise UsageMalformed(
                f"--{option.replace('_', '-')} is {value!r}, and the recipe says {getattr(recipe, option)!r}",
                remedy="Leave the option out, or change the recipe.",
            )
    return recipe


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
    per_channel = recipe.int8 is not None and recipe.int8.fully_connected == "per-channel"
    if per_channel and not profile.quantiser.per_channel_fully_connected:
        raise RecipeUnfit(
            f"The kernels of {profile.name!r} take fully connected weights with one scale, not one per channel",
            remedy='Set fully-connected = "per-tensor" in the recipe.',
            target=profile.name,
        )
    if recipe.scheme == "int8" and options.calibration is None:
        raise CalibrationMissing(
            "The recipe is int8, and no calibration set was given",
            expected="--calibration F.npz with about 200 typical inputs",
            remedy="Without one, `--recipe auto` falls back to fp16 where the target runs it.",
        )
    return recipe


def _check_runs(scheme: Scheme, profile: TargetProfile) -> None:
    needed: dict[Scheme, Dtype] = {"int8": "int8", "fp16": "float16", "float": "float32", SCHEME: "int8"}
    if not profile.runs(needed[scheme]):
        raise RecipeUnfit(
            f"The target {profile.name!r} does not run the recipe {scheme!r}",
            expected=f"one that computes with {', '.join(profile.dtypes)}",
            target=profile.name,
            recipe=scheme,
        )
