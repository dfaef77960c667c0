"""What is trained and who teaches it: refused here where the two do not go together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgefleet_compiler.hub.graph import name_of
from edgefleet_compiler.source import Source, load_source
from edgefleet_compiler.tensors import TensorInfo
from edgefleet_contract.errors import ModelMalformed, OperatorUnsupported, RecipeUnfit


def load_student(path: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> Source:
    """A model whose inferences can be trained on in batches.

    Raises:
        RecipeUnfit: It is quantised already.
        OperatorUnsupported: It keeps states from one inference to the next, or takes no single case at a time.
        EdgefleetError: It cannot be imported; ``load_source`` tells the kinds.
    """
    source = load_source(path, input_shapes=input_shapes)
    if source.quantised is not None:
        raise RecipeUnfit(
            f"{str(path)!r} is quantised already, and training would have to change its weights",
            expected="a float model",
            remedy="Fine-tune the float model that it was made from; --recipe int8 trains that one for integers.",
        )
    require_batch(source)
    return source


def load_teacher(path: Path, student: Source, input_shapes: Mapping[str, tuple[int, ...]]) -> Source:
    """A model of the same inputs and outputs.

    Raises:
        ModelMalformed: It takes or gives something else.
        OperatorUnsupported: As ``load_student``.
        EdgefleetError: It cannot be imported.
    """
    teacher = load_source(path, input_shapes=input_shapes)
    require_batch(teacher)
    for role, mine, theirs in (
        ("inputs", student.inputs, teacher.inputs),
        ("outputs", student.outputs, teacher.outputs),
    ):
        if _forms(mine, role) != _forms(theirs, role):
            raise ModelMalformed(
                f"The teacher {str(path)!r} has the {role} {_told(theirs)}",
                expected=f"{_told(mine)}, as the model has them",
                remedy="Give a teacher that was made for the same task.",
            )
    return teacher


def require_batch(source: Source) -> None:
    """Refuse a model that no batches can be trained on.

    Raises:
        OperatorUnsupported: It keeps states from one inference to the next, or takes no single case at a time.
    """
    given = {tensor.name for tensor in source.inputs}
    states = [name_of(value) for value in source.hub.graph.inputs if name_of(value) not in given]
    unbatched = [tensor.name for tensor in source.inputs if tensor.shape[:1] != (1,)]
    if states or unbatched:
        raise OperatorUnsupported(
            f"{str(source.file.path)!r} keeps {', '.join(map(repr, states))} from one inference to the next"
            if states
            else f"{str(source.file.path)!r} has no batch of 1 as the first axis of {', '.join(map(repr, unbatched))}",
            expected="a model that takes one case at a time, each on its own",
            remedy="Train it where it was made; or compile it without fine-tuning.",
        )


def _forms(tensors: Sequence[TensorInfo], role: str) -> list[object]:
    """Inputs by shape and type; outputs by how many numbers they have."""
    if role == "inputs":
        return [(tensor.shape, tensor.dtype) for tensor in tensors]
    return [math.prod(tensor.shape) for tensor in tensors]


def _told(tensors: Sequence[TensorInfo]) -> str:
    return ", ".join(f"{tensor.name!r} {list(tensor.shape)}" for tensor in tensors)
