"""Channels that go before weights are trained on."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.data import DataSet
from edgefleet_compiler.progress import Progress
from edgefleet_compiler.source import Source
from edgefleet_contract.errors import UsageMalformed


def check_ratio(ratio: float | None) -> None:
    """Refuse a share that leaves everything or nothing.

    Raises:
        UsageMalformed: It is one.
    """
    if ratio is not None and not 0 < ratio < 1:
        raise UsageMalformed(
            f"--prune is {ratio:g}",
            expected="a share of the multiply-accumulates above 0 and below 1, such as 0.5",
        )


def pruned(source: Source, ratio: float, data: DataSet, seed: int, progress: Progress) -> ir.Model:
    raise NotImplementedError
