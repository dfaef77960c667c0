"""``edgefleet model compile``: a model file in, a folder for each target out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edgefleet_compiler.cli import parse
from edgefleet_compiler.cli.outcomes import outcomes_as_json, show_outcomes, tell
from edgefleet_compiler.cli.show import JSON_HELP, print_json, shown_progress, stdout
from edgefleet_compiler.options import DEFAULT_MAX_DROP, MAX_SEED, CompileOptions
from edgefleet_contract.errors import GateError

_DATA = "Data"
_WHAT = "What to do"
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
    artifact_format: Annotated[
        Literal["tflite", "onnx"] | None,
        typer.Option("--format", help="tflite or onnx; by default the target's.", rich_help_panel=_WHAT),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="auto, int8, int16x8, dynamic, weight-only, fp16, float, source, or a recipe file (.toml), where "
            "single layers may compute otherwise.",
            rich_help_panel=_WHAT,
        ),
    ] = "auto",
    prune: Annotated[
        float | None,
        typer.Option(
            help="Share of the multiply-accumulates to take away with whole channels, such as 0.3.",
            rich_help_panel=_WHAT,
            metavar="RATIO",
        ),
    ] = None,
    io: Annotated[
        Literal["float", "int8"] | None,
        typer.Option("--io", help="float or int8 inputs and outputs; by default the target's.", rich_help_panel=_WHAT),
    ] = None,
    io_layout: Annotated[
        Literal["source", "native"] | None,
        typer.Option(help="source or native axis order of 4-D inputs and outputs.", rich_help_panel=_WHAT),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_SEED, help="Of everything random; by default 0.", rich_help_panel=_WHAT),
    ] = None,
    input_shape: Annotated[
        list[str] | None,
        typer.Option(help="NAME=1,224,224,3 for an input that the model leaves open.", rich_help_panel=_WHAT),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Typical inputs: .npz, or a folder of images.", rich_help_panel=_DATA)
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Inputs to measure on, with labels 'y' if there are any.", rich_help_panel=_DATA)
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="top1, mse, auc, agreement or module:function.", rich_help_panel=_DATA)
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Names of the classes, one a line.", rich_help_panel=_DATA)
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            help="Subtracted from the pixels (0 to 255) of image folders; one number, or one a channel.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            help="The pixels of image folders are divided by it; one number, or one a channel.", rich_help_panel=_DATA
        ),
    ] = None,
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
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
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
