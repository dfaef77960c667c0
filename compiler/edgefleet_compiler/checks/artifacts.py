"""Artifacts in their runtimes: one that is not executed there is a fault of the export, not of the user's model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.checks.alignment import AlignedRunner
from edgefleet_compiler.checks.runtimes import Execution, open_runner
from edgefleet_compiler.tensors import Sample, TensorInfo
from edgefleet_contract.errors import ModelMalformed, ParityLost


class ArtifactRunner(AlignedRunner):
    """An artifact, run on cases in the source's axes.

    Args:
        artifact: The model.
        inputs: What the source takes.
        outputs: What the source gives.
        execution: How it is executed.

    Raises:
        ParityLost: The runtime does not load it.
    """

    def __init__(
        self, artifact: Artifact, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo], execution: Execution
    ) -> None:
        self._artifact = artifact
        with _told_as_ours(artifact):
            runner = open_runner(artifact.data, artifact.recipe.format, execution=execution)
        super().__init__(runner, inputs, outputs, artifact.exported.stored_axes)

    def run_whole(self, sample: Sample) -> list[NDArray[np.generic]]:
        """See ``AlignedRunner``.

        Raises:
            ParityLost: An operator fails.
        """
        with _told_as_ours(self._artifact):
            return super().run_whole(sample)


@contextmanager
def _told_as_ours(artifact: Artifact) -> Iterator[None]:
    """Let what the runtime finds wrong with an artifact read as the defect of an export."""
    try:
        yield
    except ModelMalformed as fault:
        raise ParityLost(
            f"The artifact {artifact.file_name} of the recipe {artifact.recipe.scheme!r} does not run: {fault.seen}",
            expected="an artifact that its runtime executes",
            remedy="This is a defect of edgefleet, or of the runtime, and not of the source model: please report it.",
            recipe=artifact.recipe.scheme,
        ) from fault
