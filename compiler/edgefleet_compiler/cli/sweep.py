"""``edgefleet model sweep``: many recipes for one target, and the front of them."""

from __future__ import annotations

import os
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
from edgefleet_compiler.cli.show import Json, print_json, stdout
from edgefleet_compiler.options import DEFAULT_MAX_DROP, CompileOptions
from edgefleet_compiler.sweep.options import DEFAULT_POINTS, SweepOptions

_HOW = "How to work"


def sweep_command(
    model: Annotated[Path, typer.Argument(help="A float .onnx, .tflite, .keras or .h5 model, or a SavedModel folder.")],
    *,
    target: Annotated[str, typer.Option("--target", "-t", help="A target, or the path of your own profile.")],
    out: Annotated[
        str,
        typer.Option(help="The sweep's folder; one that the same request left goes on where it ended.", metavar="PATH"),
    ],
    calibration: Calibration = None,
    validation: Validation = None,
    metric: Metric = None,
    labels: Labels = None,
    mean: Mean = None,
    std: Std = None,
    points: Annotated[
        int, typer.Option(min=1, help="How many candidates are evaluated at most.", rich_help_panel=WHAT)
    ] = DEFAULT_POINTS,
    artifact_format: ArtifactFormat = None,
    io: Io = None,
    io_layout: IoLayout = None,
    input_shape: InputShape = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            min=0,
            help=f"Larger losses of accuracy are marked as refused; {DEFAULT_MAX_DROP} where there are labels.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    seed: Seed = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on this machine; by default one a core.", rich_help_panel=_HOW),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="A Dask scheduler, tcp://host:port, whose workers evaluate instead.", rich_help_panel=_HOW),
    ] = None,
    json: Json = False,
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
