"""A data set as the compiler sees it: cases in order, one at a time, with targets where there are any."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.naming import naming
from edgefleet_compiler.tensors import Sample


@dataclass(frozen=True)
class DataSet:
    """Cases of one file or folder.

    Attributes:
        path: Where they come from.
        sha256: Of the file; of a folder, over the names and hashes of its files.
        n: Number of cases, at least 1.
        targets: ``y``: integer labels, shape (n,), or real targets, shape (n, ...); None if there are none.
        open_samples: Starts over at the first case, each input with its batch of 1.
        open_sample: The case at an index, where those before it need not be read for it; None where they must.
    """

    path: Path
    sha256: str
    n: int
    targets: NDArray[np.generic] | None
    open_samples: Callable[[], Iterator[Sample]]
    open_sample: Callable[[int], Sample] | None = None

    def samples(self) -> Iterator[Sample]:
        """All cases in order; errors name the file.

        Raises:
            DataMalformed: While iterating: a case with NaN or infinity, a lossy cast, a truncated file.
        """
        with naming(self.path):
            yield from self.open_samples()

    def spread(self, count: int) -> list[int]:
        """Indices of up to ``count`` cases, evenly spaced, the same ones every time."""
        return sorted({int(index) for index in np.linspace(0, self.n - 1, num=min(count, self.n))})

    def chosen(self, indices: Collection[int]) -> Iterator[tuple[int, Sample]]:
        """The cases at ``indices`` with their index, in ascending order; later ones are not read."""
        wanted = set(indices)
        if self.open_sample is not None:
            with naming(self.path):
                yield from ((index, self.open_sample(index)) for index in sorted(wanted))
            return
        last = max(wanted, default=-1)
        for index, sample in enumerate(self.samples()):
            if index in wanted:
                yield index, sample
            if index >= last:
                return

    def pick(self, indices: Collection[int]) -> list[Sample]:
        """The cases at ``indices``, in ascending order."""
        return [sample for _, sample in self.chosen(indices)]

    @property
    def has_class_labels(self) -> bool:
        """Whether ``y`` is one integer a case, of whatever element type."""
        targets = self.targets
        if targets is None or targets.ndim != 1:
            return False
        return targets.dtype.kind in "biu" or bool((targets == np.rint(targets.astype(np.float64))).all())
