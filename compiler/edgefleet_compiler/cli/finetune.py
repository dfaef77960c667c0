"""``edgefleet model finetune``: a model and data in, a folder with the trained model out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from edgefleet_compiler.cli import parse
from edgefleet_compiler.cli.model_options import DATA, InputShape, Mean, Std
from edgefleet_compiler.cli.show import Json, print_json, shown_progress, stderr, stdout
from edgefleet_compiler.cli.termination import tidy_termination
from edgefleet_compiler.compress.settings import Finetuning
from edgefleet_compiler.finetune.options import FinetuneOptions
from edgefleet_compiler.options import MAX_SEED

if TYPE_CHECKING:
    from edgefleet_compiler.finetune.record import Run

_HOW = "How to train"
_FIRST = "What is done first, and what is rounded like"
_USUAL = Finetuning()


def finetune(
    model: Annotated[Path, typer.Argument(help="A model in any form that compile takes.")],
    *,
    data: Annotated[
        Path, typer.Option(help="Cases: .npz with labels or targets 'y', or a folder of images.", rich_help_panel=DATA)
    ],
    out: Annotated[str, typer.Option(help="The folder that gets model.onnx, finetune.json and report.html.")],
    teacher: Annotated[
        Path | None,
        typer.Option(help="A model to learn from; the source itself with --prune or --recipe, else none."),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="Cases that choose the best epoch; by default a tenth of the data.", rich_help_panel=DATA),
    ] = None,
    input_shape: InputShape = None,
    mean: Mean = None,
    std: Std = None,
    prune: Annotated[
        float | None,
        typer.Option(
            help="The share of multiply-accumulates to take away first, above 0 and below 1.", rich_help_panel=_FIRST
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="int8, int16x8, weight-only or a recipe file (.toml): train with weights and activations rounded "
            "as compile will round them.",
            rich_help_panel=_FIRST,
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help=f"Passes over the data, at most; {_USUAL.epochs}.", rich_help_panel=_HOW)
    ] = None,
    batch: Annotated[int | None, typer.Option(help=f"Cases in a step; {_USUAL.batch}.", rich_help_panel=_HOW)] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help=f"Largest step, in relation to the weights of each layer; {_USUAL.learning_rate:g}.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    distill: Annotated[
        float | None,
        typer.Option(
            help=f"Share of the teacher in the loss, 0 to 1; {_USUAL.distill:g} with labels, 1 without.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help=f"What logits are divided by before they are compared; {_USUAL.temperature:g}.", rich_help_panel=_HOW
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help=f"Epochs without a better one before it ends; {_USUAL.patience}.", rich_help_panel=_HOW),
    ] = None,
    augment: Annotated[
        Literal["none", "flip-crop"] | None,
        typer.Option(help="flip-crop mirrors and shifts images at random.", rich_help_panel=_HOW),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of everything random.", rich_help_panel=_HOW)] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    json: Json = False,
) -> None:
    """Train the weights of a model on: by labels, by a teacher, rounded as its recipe will round it.

    Needs the extra `tensorflow`. OUT/model.onnx then goes to `edgefleet model compile`.
    """
    options = FinetuneOptions(
        model=model,
        data=data,
        out=parse.folder("--out", out),
        teacher=teacher,
        validation=validation,
        prune=prune,
        recipe=recipe,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        distill=distill,
        temperature=temperature,
        patience=patience,
        augment=augment,
        seed=seed,
        resume=resume,
        normalisation=parse.normalisation(mean, std),
        input_shapes=parse.input_shapes(input_shape or []),
    )
    from edgefleet_compiler.finetune.command import finetune_model  # noqa: PLC0415 - heavy: onnx, numpy and runtimes

    with tidy_termination(), shown_progress(lines=True) as progress:
        run = finetune_model(options, progress)
    for warning in run.warnings:
        stderr().print(f"[yellow]warning[/yellow]: {escape(warning)}", soft_wrap=True)
    if json:
        print_json({"model": str(options.out.absolute() / "model.onnx"), "run": run, "warnings": run.warnings})
    else:
        _show(run, options.out)


def _show(run: Run, out: Path) -> None:
    console = stdout()
    before, after = run.epochs[0], run.epochs[run.best]
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", "before", "after"):
        table.add_column(heading, justify="right" if heading else "left")
    if before.validation_top1 is not None and after.validation_top1 is not None:
        table.add_row("held out, right", f"{before.validation_top1:.4f}", f"{after.validation_top1:.4f}")
    table.add_row("held out, loss", f"{before.validation_loss:.5g}", f"{after.validation_loss:.5g}")
    table.add_row("multiply-accumulates", f"{run.macs_source:,}", f"{run.macs:,}")
    console.print(table)
    console.print(f"best epoch {run.best} of {len(run.epochs) - 1}, by {run.held_out:,} held-out cases", style="dim")
    console.print(f"{escape(str(out / 'model.onnx'))}", soft_wrap=True)
