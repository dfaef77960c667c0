"""Whether a calibration set shows anything of the ranges that it is there to show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.tensors import Sample

_LEAST = float(np.finfo(np.float32).tiny)  # below it kernels may take a number for 0


class Variety:
    """Notes, while cases go by, how much they differ."""

    def __init__(self) -> None:
        self._cases = 0
        self._first: dict[str, NDArray[np.generic]] = {}
        self._reach: dict[str, float] = {}
        self._varying: set[str] = set()

    def watched(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """The same cases, each noted as it passes."""
        for sample in samples:
            self._cases += 1
            for name, value in sample.items():
                reach = float(np.abs(value.astype(np.float64)).max(initial=0.0))
                self._reach[name] = max(self._reach.get(name, 0.0), reach)
                if name not in self._varying and not np.array_equal(self._first.setdefault(name, value), value):
                    self._varying.add(name)
            yield sample

    def warnings(self) -> list[str]:
        """What a person should know of the cases so far: inputs that are 0 throughout, or the same in every case."""
        told = []
        for name in self._first:
            if self._reach[name] < _LEAST:
                told.append(f"The calibration set shows nothing of the input {name!r}: it is 0 throughout.")
            elif self._cases > 1 and name not in self._varying:
                told.append(f"The calibration set shows little of the input {name!r}: every case is the same.")
        return told
