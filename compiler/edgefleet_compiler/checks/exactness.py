"""Gates between two forms of one model: what an import or an export changed must be rounding, and no more."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.tensors import Sample
from edgefleet_contract.errors import ParityLost

Outputs = Sequence[NDArray[np.generic]]
Model = Callable[[Sample], Outputs]

# Largest difference over the reference's largest magnitude. Float kernels differ in the order of their sums, by 1e-6.
FLOAT_TOLERANCE = 1e-4
# Root mean square of the same. Integer kernels round ties each in their own way, hybrid kernels round activations on
# the fly: both give single outputs that lie far apart, and few of them.
ROUNDING_TOLERANCE = 0.05
_TINY = 1e-30  # outputs that are all zero have no magnitude to compare with


def require_same(reference: Model, model: Model, samples: Sequence[Sample], *, exact: bool, what: str) -> None:
    """Run two forms of a model on the same cases, and refuse what is not rounding.

    Args:
        reference: The form that is believed.
        model: The form that is judged.
        samples: At least one case.
        exact: Whether both compute in float; otherwise one of them rounds to integers on its way.
        what: Both forms, for the error: "the imported hub and the source".

    Raises:
        ParityLost: They differ by more than rounding explains, or one gives what is no number.
    """
    pairs = [(reference(sample), model(sample)) for sample in samples]
    for index in range(len(pairs[0][0])):
        expected = np.stack([_flat(case[index]) for case, _ in pairs])
        seen = np.stack([_flat(case[index]) for _, case in pairs])
        span = float(np.abs(expected).max(initial=0.0))
        noise = np.abs(expected - seen)
        error = float(noise.max(initial=0.0)) if exact else float(np.sqrt(np.square(noise).mean()))
        allowed = (FLOAT_TOLERANCE if exact else ROUNDING_TOLERANCE) * span
        if math.isnan(error) or error > max(allowed, _TINY):
            raise ParityLost(
                f"Output {index} of {what} differs by {error:.3g} ({'largest' if exact else 'root mean square'} "
                f"over {len(pairs)} cases), where outputs reach {span:.3g}",
                expected=f"at most {allowed:.3g}",
                remedy="This is a defect of edgefleet, or of the source model's own runtime: please report it.",
                error=error,
                allowed=allowed,
            )


def _flat(values: NDArray[np.generic]) -> NDArray[np.float64]:
    return values.reshape(-1).astype(np.float64)
