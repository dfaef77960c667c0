"""What `edgefleet model sweep` is asked to do."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from edgefleet_compiler.options import CompileOptions

DEFAULT_POINTS = 32


@dataclass(frozen=True)
class SweepOptions:
    """One request.

    Attributes:
        compile: As for a compilation by ``auto``, with one target; ``out`` is the sweep's folder.
        labels_file: Where the names of the classes were read; None where they were not given.
        points: How many candidates are evaluated, if there are so many.
        jobs: Processes on this machine.
        scheduler: Address of a Dask scheduler whose workers evaluate instead; None for this machine.
    """

    compile: CompileOptions
    labels_file: Path | None = None
    points: int = DEFAULT_POINTS
    jobs: int = 1
    scheduler: str | None = None

    def replay(self, recipe: Path) -> str:
        """The command that makes a candidate's artifact again, with report and bundle.

        Args:
            recipe: Of the candidate.
        """
        asked = self.compile
        words = ["edgefleet", "model", "compile", str(asked.model), "--target", asked.targets[0]]
        words += ["--recipe", str(recipe), "--out", "out"]
        named = {
            "--calibration": asked.calibration,
            "--validation": asked.validation,
            "--metric": asked.metric,
            "--labels": self.labels_file,
            "--max-drop": asked.max_drop,
        }
        for option, value in named.items():
            words += [] if value is None else [option, str(value)]
        for name, shape in asked.input_shapes.items():
            words += ["--input-shape", f"{name}={','.join(map(str, shape))}"]
        if asked.normalisation is not None:
            mean, std = asked.normalisation.mean, asked.normalisation.std
            words += ["--mean", ",".join(map(str, mean)), "--std", ",".join(map(str, std))]
        return shlex.join(words)
