"""``edgefleet model finetune``: from a request to a folder with the trained model and its learning curve."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec
import onnx_ir as ir

from edgefleet_compiler.compress.ratio import check_ratio
from edgefleet_compiler.compress.settings import Finetuning, Pruning
from edgefleet_compiler.data import DataSet, Normalisation, open_data_set
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.finetune.folder import MODEL, RECORD, REPORT, RunFolder
from edgefleet_compiler.finetune.lessons import Lessons, goal_of, lay_out
from edgefleet_compiler.finetune.messages import Epoch, Goal
from edgefleet_compiler.finetune.options import FinetuneOptions
from edgefleet_compiler.finetune.page import render
from edgefleet_compiler.finetune.pruned import pruned
from edgefleet_compiler.finetune.quantiser import quantiser_of
from edgefleet_compiler.finetune.record import Identity, Run
from edgefleet_compiler.finetune.students import load_student, load_teacher
from edgefleet_compiler.finetune.train import train
from edgefleet_compiler.finetune.trainable import weights_of
from edgefleet_compiler.hub.graph import OPSET, products
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.source import Source
from edgefleet_compiler.tensorflow_child import require_tensorflow
from edgefleet_contract.errors import DataMalformed, UsageMalformed

_COMPUTING = ("edgefleet", "keras", "numpy", "onnxruntime", "tensorflow", "tensorflow-cpu")
"""Packages whose versions decide what is computed."""


@dataclass(frozen=True)
class _Asked:
    """A request that was checked and whose files were opened."""

    source: Source
    teacher: Source | None
    data: DataSet
    validation: DataSet | None
    goal: Goal
    identity: Identity


def finetune_model(options: FinetuneOptions, progress: Progress) -> Run:
    """Train the weights of a model on.

    Args:
        options: The request.
        progress: Told of what takes long.

    Returns:
        The run; its folder holds ``model.onnx``, ``finetune.json`` and ``report.html``.

    Raises:
        UsageMalformed: Options that contradict each other, or TensorFlow is not installed.
        DataMalformed: Cases without labels or a teacher, with labels out of range, or that the model does not take.
        RunMismatch: The folder holds another run.
        OutputUnwritable: The folder cannot be written to.
        RecipeUnfit: The model is quantised already, or has not so much to give as is to be pruned.
        OperatorUnsupported: The model or the teacher has operators that training does not take.
        TrainingDiverged: The loss became NaN or infinite.
        TrainingFailed: The process that trains died.
        EdgefleetError: A model or a recipe cannot be read.
    """
    require_tensorflow("Fine-tuning needs", "on the machine that trains")
    folder = RunFolder(options.out)
    folder.check()
    asked = _checked(options, progress)
    found = folder.open(asked.identity, resume=options.resume)
    if found is not None and found.finished:
        return found
    with folder.work() as work:
        progress.stage("reading cases")
        seed = options.seed
        lessons = lay_out(asked.data, asked.validation, asked.source.inputs, asked.goal, seed=seed, folder=work)
        hub, pruning = asked.source.hub, None
        if options.prune is not None:
            hub, pruning = pruned(asked.source, options.prune, asked.data, progress)
        begun = _begun(asked, lessons, hub, pruning)
        trained = train(
            hub,
            None if asked.teacher is None else asked.teacher.hub,
            lessons,
            asked.identity.settings,
            seed=seed,
            quantiser=asked.identity.quantiser,
            folder=work,
            progress=progress,
            start=folder.state,
            on_epoch=_Keeper(folder, begun).epoch,
        )
    run = msgspec.structs.replace(begun, epochs=trained.epochs, best=trained.best, finished=True)
    folder.write(MODEL, export_onnx(trained.hub, max_opset=OPSET, io="float", io_layout="source"))
    folder.write(REPORT, render(run, options.model.name).encode())
    folder.write(RECORD, run.as_json())
    folder.drop_state()
    return run


class _Keeper:
    """Keeps each epoch of a run."""

    def __init__(self, folder: RunFolder, run: Run) -> None:
        self._run = run
        self._folder = folder

    def epoch(self, epochs: list[Epoch], best: int, state: Path) -> None:
        run = msgspec.structs.replace(self._run, epochs=epochs, best=best)
        self._folder.keep(run, state)


def _begun(asked: _Asked, lessons: Lessons, hub: ir.Model, pruning: Pruning | None) -> Run:
    return Run(
        identity=asked.identity,
        pruning=pruning,
        goal=asked.goal,
        cases=lessons.cases,
        held_out=lessons.held_out,
        macs_source=products(asked.source.hub.graph),
        macs=products(hub.graph),
        weights=sum(array.size for array in weights_of(hub.graph).values()),
        epochs=[],
        best=0,
        finished=False,
    )


def _checked(options: FinetuneOptions, progress: Progress) -> _Asked:
    progress.stage("reading models")
    check_ratio(options.prune)
    quantiser = None if options.recipe is None else quantiser_of(options.recipe)
    source = load_student(options.model, options.input_shapes)
    teacher = None
    if options.teacher is not None:
        teacher = load_teacher(options.teacher, source, options.input_shapes)
    elif options.prune is not None or quantiser is not None:
        teacher = source
    data = _opened(options.data, source, options)
    validation = None if options.validation is None else _opened(options.validation, source, options)
    output = source.outputs[0]
    goal = goal_of(data, source.inputs, output, taught=teacher is not None)
    if validation is not None and goal in ("classes", "values"):
        _require_same_goal(validation, goal, goal_of(validation, source.inputs, output, taught=True))
    settings = _settings(options, goal, taught=teacher is not None)
    if settings.augment != "none" and not source.inputs[0].axes:
        raise UsageMalformed(
            f"--augment is {settings.augment!r}, and the input {source.inputs[0].name!r} takes no images",
            expected=f"an input of images, not of shape {list(source.inputs[0].shape)}",
        )
    identity = Identity(
        source=source.sha256,
        teacher=teacher.sha256 if teacher is not None and settings.distill > 0 else None,
        data=data.sha256,
        validation=None if validation is None else validation.sha256,
        normalisation=options.normalisation,
        prune=options.prune,
        quantiser=quantiser,
        settings=settings,
        seed=options.seed,
        versions=_versions(),
    )
    return _Asked(source, teacher if settings.distill > 0 else None, data, validation, goal, identity)


def _require_same_goal(validation: DataSet, goal: Goal, found: Goal) -> None:
    if found != goal:
        wanted = "integer labels" if goal == "classes" else "targets"
        raise DataMalformed(
            f"The validation set {str(validation.path)!r} has no {wanted} 'y', and the data have",
            expected="the same in both",
            remedy="Leave --validation out to hold out a tenth of the data.",
        )


def _opened(path: Path, source: Source, options: FinetuneOptions) -> DataSet:
    return open_data_set(path, source.inputs, normalisation=options.normalisation or Normalisation(), labels=())


def _settings(options: FinetuneOptions, goal: Goal, *, taught: bool) -> Finetuning:
    """What was asked for; the share of the teacher follows from what there is where nothing was said."""
    if options.distill and not taught:
        raise UsageMalformed(
            f"--distill is {options.distill:g}, and there is no teacher", remedy="Give --teacher MODEL."
        )
    if goal == "teacher" and options.distill not in (None, 1.0):
        raise UsageMalformed(
            f"--distill is {options.distill:g}, and the data set has no labels 'y' for the rest of the loss",
            expected="--distill 1, which is the usual value without labels",
        )
    share = 0.0 if not taught else 1.0 if goal == "teacher" else options.distill
    asked = {name: getattr(options, name) for name in Finetuning.__struct_fields__ if name != "distill"}
    given = {name: value for name, value in {**asked, "distill": share}.items() if value is not None}
    try:
        return Finetuning(**given)
    except ValueError as cause:
        raise UsageMalformed(f"--{cause}") from cause


def _versions() -> dict[str, str]:
    installed = {each.name.lower().replace("_", "-"): each.version for each in metadata.distributions()}
    return {name: installed[name] for name in _COMPUTING if name in installed}
