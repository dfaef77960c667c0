"""``edgefleet model compile``: a model file in, a folder for each target out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgefleet_compiler.cli import parse
from edgefleet_compiler.cli.model_options import (
    WHAT,
    ArtifactFormat,
    Calibration,
    InputShape,
    Io,
    IoLayout,
    Labels,
    Mean,
    Metric,
    Seed,
    Std,
    Validation,
)
from edgefleet_compiler.cli.outcomes import outcomes_as_json, show_outcomes, tell
from edgefleet_compiler.cli.show import Json, print_json, shown_progress, stdout
from edgefleet_compiler.options import DEFAULT_MAX_DROP, CompileOptions
from edgefleet_contract.errors import GateError

_LIMITS = "Limits, each a gate with exit status 3"


def compile_command(
    model: Annotated[Path, typer.Argument(help="An .onnx, .tflite, .keras or .h5 model, or a SavedModel folder.")],
    *,
    target: Annotated[
        list[str], typer.Option("--target", "-t", help="A target, or the path of your own profile; repeat for several.")
    ],
    out: Annotated[str, typer.Option(help="The folder that gets one folder a target.", metavar="PATH")],
    name: Annotated[str | None, typer.Option(help="The bundle's name; by default the model file's.")] = None,
    version: Annotated[str, typer.Option(help="The bundle's semantic version.")] = "0.1.0",
    artifact_format: ArtifactFormat = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="auto, int8, int16x8, dynamic, weight-only, fp16, float, source, or a recipe file (.toml), where "
            "single layers may compute otherwise.",
            rich_help_panel=WHAT,
        ),
    ] = "auto",
    prune: Annotated[
        float | None,
        typer.Option(
            help="Share of the multiply-accumulates to take away with whole channels, such as 0.3.",
            rich_help_panel=WHAT,
            metavar="RATIO",
        ),
    ] = None,
    io: Io = None,
    io_layout: IoLayout = None,
    seed: Seed = None,
    input_shape: InputShape = None,
    calibration: Calibration = None,
    validation: Validation = None,
    metric: Metric = None,
    labels: Labels = None,
    mean: Mean = None,
    std: Std = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            min=0,
            help=f"Largest loss of accuracy, a fraction; {DEFAULT_MAX_DROP} where there are labels.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    max_flash: Annotated[
        str | None, typer.Option(help="Largest artifact, such as 64KiB.", rich_help_panel=_LIMITS)
    ] = None,
    max_ram: Annotated[
        str | None, typer.Option(help="Most working memory of an inference, such as 32KiB.", rich_help_panel=_LIMITS)
    ] = None,
    max_latency: Annotated[
        str | None,
        typer.Option(help="Longest inference, such as 20ms, where it can be measured.", rich_help_panel=_LIMITS),
    ] = None,
    json: Json = False,
) -> None:
    """Compile a model for targets: quantise, export, measure, refuse what does not fit, pack a bundle.

    Writes OUT/TARGET/ with the artifact, recipe.toml, report.json, report.html and the bundle NAME-VERSION-TARGET.efb.
    """
    options = CompileOptions(
        model=model,
        targets=tuple(target),
        out=parse.folder("--out", out),
        name=name,
        version=version,
        format=artifact_format,
        calibration=calibration,
        validation=validation,
        metric=metric,
        recipe=recipe,
        prune=prune,
        io=io,
        io_layout=io_layout,
        max_drop=max_drop,
        max_flash=parse.size("--max-flash", max_flash),
        max_ram=parse.size("--max-ram", max_ram),
        max_latency=parse.duration("--max-latency", max_latency),
        seed=seed,
        input_shapes=parse.input_shapes(input_shape or []),
        labels=parse.labels(labels),
        normalisation=parse.normalisation(mean, std),
    )
    from edgefleet_compiler.pipeline import compile_model  # noqa: PLC0415 - heavy: onnx, numpy and runtimes

    with shown_progress() as progress:
        outcomes = compile_model(options, progress)
    if json:
        print_json(outcomes_as_json(outcomes))
    else:
        show_outcomes(outcomes, stdout())
    tell(outcomes)
    if any(outcome.refusals for outcome in outcomes):
        raise typer.Exit(GateError.exit_status)
