"""Options that several commands on models have: the same word means the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edgefleet_compiler.options import MAX_SEED

DATA = "Data"
WHAT = "What to do"

InputShape = Annotated[list[str] | None, typer.Option(help="NAME=1,224,224,3 for an input that the model leaves open.")]
Calibration = Annotated[
    Path | None, typer.Option(help="Typical inputs: .npz, or a folder of images.", rich_help_panel=DATA)
]
Validation = Annotated[
    Path | None, typer.Option(help="Inputs to measure on, with labels 'y' if there are any.", rich_help_panel=DATA)
]
Metric = Annotated[str | None, typer.Option(help="top1, mse, auc, agreement or module:function.", rich_help_panel=DATA)]
Labels = Annotated[Path | None, typer.Option(help="Names of the classes, one a line.", rich_help_panel=DATA)]
Mean = Annotated[
    str | None,
    typer.Option(
        help="Subtracted from the pixels (0 to 255) of image folders; one number, or one a channel.",
        rich_help_panel=DATA,
    ),
]
Std = Annotated[
    str | None,
    typer.Option(
        help="The pixels of image folders are divided by it; one number, or one a channel.", rich_help_panel=DATA
    ),
]
ArtifactFormat = Annotated[
    Literal["tflite", "onnx"] | None,
    typer.Option("--format", help="tflite or onnx; by default the target's.", rich_help_panel=WHAT),
]
Io = Annotated[
    Literal["float", "int8"] | None,
    typer.Option("--io", help="float or int8 inputs and outputs; by default the target's.", rich_help_panel=WHAT),
]
IoLayout = Annotated[
    Literal["source", "native"] | None,
    typer.Option(help="source or native axis order of 4-D inputs and outputs.", rich_help_panel=WHAT),
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=MAX_SEED, help="Of everything random; by default 0.", rich_help_panel=WHAT)
]
