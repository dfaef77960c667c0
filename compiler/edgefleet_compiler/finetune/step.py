"""Fine-tuning as a step of a recipe: over the calibration set, with the source as the teacher."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgefleet_compiler.finetune.lessons import goal_of, lay_out
from edgefleet_compiler.finetune.students import require_batch
from edgefleet_compiler.finetune.train import train
from edgefleet_compiler.tensorflow_child import require_tensorflow

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgefleet_compiler.compress.settings import Finetuning
    from edgefleet_compiler.data import DataSet
    from edgefleet_compiler.progress import Progress
    from edgefleet_compiler.source import Source


def finetuned(
    hub: ir.Model, settings: Finetuning, source: Source, data: DataSet, *, seed: int, progress: Progress
) -> ir.Model:
    """A hub whose weights were trained to make up for what was taken away of it.

    Labels of the calibration set are used where it has them; else the source alone says what is right.

    Args:
        hub: Made of the source's; it is not changed.
        settings: Of the recipe.
        source: The model.
        data: The calibration set.
        seed: Of the recipe.
        progress: Told of what takes long.

    Raises:
        UsageMalformed: TensorFlow is not installed.
        DataMalformed: A case cannot be used, or a label is out of range.
        OperatorUnsupported: The model has operators that training does not take.
        TrainingDiverged: The loss became NaN or infinite.
        TrainingFailed: The process that trains died.
    """
    require_tensorflow("A recipe with [compress.finetune] needs", "or take the table out of the recipe")
    require_batch(source)
    goal = goal_of(data, source.inputs, source.outputs[0], taught=True)
    used = msgspec.structs.replace(settings, distill=1.0) if goal == "teacher" else settings
    with tempfile.TemporaryDirectory(prefix="edgefleet-") as name:
        folder = Path(name)
        lessons = lay_out(data, None, source.inputs, goal, seed=seed, folder=folder)
        teacher = source.hub if used.distill > 0 else None
        trained = train(hub, teacher, lessons, used, seed=seed, quantiser=None, folder=folder, progress=progress)
    return trained.hub
