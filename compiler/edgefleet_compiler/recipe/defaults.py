"""The explicit recipe of a scheme: what the request leaves open is the target's default."""

from __future__ import annotations

from edgefleet_compiler.keeping import SCHEME, Quantised, default_io
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.recipe.fits import check_runs, saturates
from edgefleet_compiler.recipe.form import QUANTISING, Recipe, Scheme
from edgefleet_contract.errors import UsageMalformed
from edgefleet_hardware.profile import Format, TargetProfile


def build(scheme: Scheme, options: CompileOptions, profile: TargetProfile) -> Recipe:
    """The explicit recipe of a scheme.

    Raises:
        RecipeUnfit: The target does not run the scheme.
        UsageMalformed: The scheme has no such inputs and outputs as were asked for.
    """
    check_runs(scheme, profile)
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


def keep(options: CompileOptions, profile: TargetProfile, source: Quantised) -> Recipe:
    """The explicit recipe that leaves a quantised source as it is."""
    artifact = options.format or profile.formats[0]
    return Recipe(
        scheme=SCHEME,
        format=artifact,
        io=options.io or default_io(source, artifact, profile),
        io_layout=options.io_layout or "source",
        seed=options.seed or 0,
    )


def _settings(scheme: Scheme, artifact_format: Format, profile: TargetProfile) -> Settings:
    """What the target's kernels ask for, and nothing that has to be measured."""
    per_channel = profile.quantiser.per_channel_fully_connected
    return Settings(
        fully_connected="per-channel" if per_channel else "per-tensor",
        narrow_pairs=saturates(scheme, artifact_format, profile),
    )
