"""``edgefleet model sweep``: many recipes for one target, and the front of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from edgefleet_compiler.cli import parse
from edgefleet_compiler.cli.show import JSON_HELP, print_json, stdout
from edgefleet_compiler.options import DEFAULT_MAX_DROP, MAX_SEED, CompileOptions
from edgefleet_compiler.sweep.options import DEFAULT_POINTS, SweepOptions

_DATA = "Data"
_WHAT = "What to try"
_HOW = "How to work"


def sweep_command(
    model: Annotated[Path, typer.Argument(help="A float .onnx, .tflite, .keras or .h5 model, or a SavedModel folder.")],
    *,
    target: Annotated[str, typer.Option("--target", "-t", help="A target, or the path of your own profile.")],
    out: Annotated[
        str,
        typer.Option(help="The sweep's folder; one that the same request left goes on where it ended.", metavar="PATH"),
    ],
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
        str | None, typer.Option(help="Of the pixels of image folders, as for compile.", rich_help_panel=_DATA)
    ] = None,
    std: Annotated[
        str | None, typer.Option(help="Of the pixels of image folders, as for compile.", rich_help_panel=_DATA)
    ] = None,
    points: Annotated[
        int, typer.Option(min=1, help="How many candidates are evaluated at most.", rich_help_panel=_WHAT)
    ] = DEFAULT_POINTS,
    artifact_format: Annotated[
        Literal["tflite", "onnx"] | None,
        typer.Option("--format", help="tflite or onnx; by default the target's.", rich_help_panel=_WHAT),
    ] = None,
    io: Annotated[
        Literal["float", "int8"] | None,
        typer.Option("--io", help="float or int8 inputs and outputs; by default the target's.", rich_help_panel=_WHAT),
    ] = None,
    io_layout: Annotated[
        Literal["source", "native"] | None,
        typer.Option(help="source or native axis order of 4-D inputs and outputs.", rich_help_panel=_WHAT),
    ] = None,
    input_shape: Annotated[
        list[str] | None,
        typer.Option(help="NAME=1,224,224,3 for an input that the model leaves open.", rich_help_panel=_WHAT),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            min=0,
            help=f"Larger losses of accuracy are marked as refused; {DEFAULT_MAX_DROP} where there are labels.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_SEED, help="Of everything random; by default 0.", rich_help_panel=_WHAT),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on this machine; by default one a core.", rich_help_panel=_HOW),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="A Dask scheduler, tcp://host:port, whose workers evaluate instead.", rich_help_panel=_HOW),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Try many recipes for a target, and show those that no other beats in bytes, RAM, work and accuracy.

    Writes OUT/front.json, front.csv, candidates.csv, report.html and a folder for each candidate with its recipe.toml,
    by which `edgefleet model compile` makes the same artifact again.
    """
    parsed = CompileOptions(
        model=model,
        targets=(target,),
        out=parse.folder("--out", out),
        format=artifact_format,
        calibration=calibration,
        validation=validation,
        metric=metric,
        io=io,
        io_layout=io_layout,
        max_drop=max_drop,
        seed=seed,
        input_shapes=parse.input_shapes(input_shape or []),
        labels=parse.labels(labels),
        normalisation=parse.normalisation(mean, std),
    )
    from edgefleet_compiler.cli.sweep_show import show_front, shown_sweep, tell_failures  # noqa: PLC0415 - with results
    from edgefleet_compiler.sweep.files import front_document  # noqa: PLC0415 - heavy: numpy and runtimes
    from edgefleet_compiler.sweep.run import sweep  # noqa: PLC0415 - as above

    request = SweepOptions(
        compile=parsed,
        labels_file=labels,
        points=points,
        jobs=jobs or _cores(),
        scheduler=scheduler,
    )
    with shown_sweep() as progress:
        results = sweep(request, progress)
    if json:
        print_json({"folder": str(parsed.out.absolute()), **front_document(results)})
    else:
        show_front(results, parsed.out, stdout())
    tell_failures(results)


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
