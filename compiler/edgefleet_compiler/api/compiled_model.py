"""What the Python interface gives back: an artifact with its report, to be run, shown and saved."""

from __future__ import annotations

import html
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.api.place import Place
from edgefleet_compiler.checks.runtimes import Runner, open_runner
from edgefleet_compiler.output import replaced_folder
from edgefleet_compiler.report.record import Report, moved
from edgefleet_compiler.report.write import HTML, write_json
from edgefleet_contract.errors import GateError, UsageMalformed


@dataclass(frozen=True)
class CompiledModel:
    """What came of a model for one target.

    Attributes:
        report: Everything that was found out, the fields of ``report.json``.
        folder: Where the artifact, its bundle, recipe and reports stand.
        refusals: The gates that said no; empty if the artifact was accepted.
    """

    report: Report
    folder: Path
    refusals: Sequence[GateError] = ()
    _keeper: Place | None = field(default=None, repr=False)

    @property
    def accepted(self) -> bool:
        """Whether every gate said yes."""
        return not self.refusals

    @property
    def artifact(self) -> Path | None:
        """The model file; None where none could be made."""
        return None if self.report.artifact is None else self.folder / Path(self.report.artifact.path).name

    @property
    def bundle(self) -> Path | None:
        """The bundle, ready for ``edgefleet release push``; None for what was refused."""
        return None if self.report.bundle is None else self.folder / Path(self.report.bundle.path).name

    @property
    def data(self) -> bytes:
        """The bytes of the artifact.

        Raises:
            GateError: There is none; this says why.
        """
        return self._existing_artifact().read_bytes()

    def open(self) -> Runner:
        """The artifact in its runtime on this machine, for many inferences.

        Raises:
            GateError: There is no artifact.
        """
        return open_runner(self.data, self._existing_artifact().suffix.removeprefix("."))

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One inference on real values, quantised and dequantised as the artifact needs it.

        Args:
            inputs: One array per input by name, of the artifact's shapes, the batch included.

        Returns:
            Outputs by name.

        Raises:
            UsageMalformed: Other names or shapes than the artifact's.
            GateError: There is no artifact.
        """
        runner = self.open()
        seen = {name: np.shape(value) for name, value in inputs.items()}
        expected = {tensor.name: tensor.shape for tensor in runner.inputs}
        if seen != expected:
            raise UsageMalformed(f"The inputs have the shapes {seen}", expected=f"{expected}")
        values = [np.asarray(inputs[tensor.name]) for tensor in runner.inputs]
        if all(tensor.quantisation is None for tensor in runner.inputs):
            values = [value.astype(tensor.dtype) for tensor, value in zip(runner.inputs, values, strict=True)]
        return {tensor.name: value for tensor, value in zip(runner.outputs, runner.run(values), strict=True)}

    def save(self, folder: str | Path) -> Path:
        """Copy everything into a folder, which is replaced if it is there.

        Raises:
            OutputUnwritable: It cannot be written.
        """
        destination = Path(folder).absolute()
        with replaced_folder(destination) as fresh:
            shutil.copytree(self.folder, fresh, dirs_exist_ok=True)
            write_json(moved(self.report, destination), fresh)
        return destination

    def _existing_artifact(self) -> Path:
        if self.artifact is None:
            raise self.refusals[0]
        return self.artifact

    def _repr_html_(self) -> str:
        """The report, where a notebook shows the value."""
        page = html.escape((self.folder / HTML).read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 40rem; border: 0"></iframe>'
