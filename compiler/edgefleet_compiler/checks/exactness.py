"""Gates between two forms of one model: what an import or an export changed must be rounding, and no more."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.tensors import Sample
from edgefleet_contract.errors import ModelMalformed, ParityLost

Outputs = Sequence[NDArray[np.generic]]
Model = Callable[[Sample], Outputs]
Values = NDArray[np.float64]

# Largest difference over the reference's largest magnitude. Float kernels differ in the order of their sums, by 1e-6.
FLOAT_TOLERANCE = 1e-4
# Root mean square of the same. Integer kernels round ties each in their own way, hybrid kernels round activations on
# the fly: both give single outputs that lie far apart, and few of them.
ROUNDING_TOLERANCE = 0.05
# Where rounding is coarser than that, how far it may excuse a difference: a model that always gives the same is as far
# from the float form as that form varies, and twice as far as this allows.
MOST_COARSE = 0.5
_TINY = 1e-30  # outputs that are all zero have no magnitude to compare with


def require_finite(model: Model, samples: Sequence[Sample], names: Sequence[str]) -> None:
    """Refuse a source model that computes what is no number: nothing could be compared with it, here or on a device.

    Args:
        model: The source.
        samples: At least one case.
        names: Of its outputs.

    Raises:
        ModelMalformed: An output is NaN or infinite in a case.
    """
    for case, sample in enumerate(samples):
        for name, output in zip(names, model(sample), strict=True):
            if not np.isfinite(output).all():
                raise ModelMalformed(
                    f"The output {name!r} of the model is NaN or infinite in case {case}",
                    expected="finite numbers",
                    remedy="Check the weights, and the range of the inputs that the model is given.",
                    tensor=name,
                    case=case,
                )


def require_equal(reference: Model, model: Model, samples: Sequence[Sample], *, what: str) -> None:
    """Run two float forms of a model on the same cases, and refuse more than the rounding of floats.

    Args:
        reference: The form that is believed.
        model: The form that is judged.
        samples: At least one case.
        what: Both forms, for the error: "the imported hub and the source".

    Raises:
        ParityLost: They differ by more, or one gives what is no number.
    """
    for index, (expected, seen) in enumerate(_outputs(reference, model, samples)):
        span = _span(expected)
        error = float(_difference(expected, seen).max(initial=0.0))
        _judge(f"Output {index} of {what}", "largest difference", error, FLOAT_TOLERANCE * span, span)


def require_identical(reference: Model, model: Model, samples: Sequence[Sample], *, what: str) -> None:
    """Run two forms of a model that hold the same integers, and refuse any difference.

    Raises:
        ParityLost: There is one.
    """
    for index, (expected, seen) in enumerate(_outputs(reference, model, samples)):
        error = float(_difference(expected, seen).max(initial=0.0))
        _judge(f"Output {index} of {what}", "largest difference", error, 0.0, _span(expected))


def require_close(
    reference: Model, model: Model, samples: Sequence[Sample], *, what: str, rounded_from: Model | None = None
) -> None:
    """Run two forms of a model that round to integers on their way, and refuse more than that explains.

    Args:
        reference: The form that is believed.
        model: The form that is judged.
        samples: At least one case.
        what: Both forms, for the error.
        rounded_from: The float form that both come from. Where its rounding is so coarse that the reference itself is
            further from it than the tolerance, single steps weigh as much, and the model may differ by that too; but
            by no more than half of what the float form itself varies from case to case and element to element.

    Raises:
        ParityLost: They differ by more, or one gives what is no number.
    """
    coarse = [0.0] * len(reference(samples[0]))
    if rounded_from is not None:
        coarse = [
            min(_root_mean_square(real, rounded), MOST_COARSE * _deviation(real))
            for real, rounded in _outputs(rounded_from, reference, samples)
        ]
    for index, (expected, seen) in enumerate(_outputs(reference, model, samples)):
        span = _span(expected)
        allowed = max(ROUNDING_TOLERANCE * span, coarse[index])
        error = _root_mean_square(expected, seen)
        _judge(f"Output {index} of {what}", "root mean square", error, allowed, span)


def _judge(subject: str, measure: str, error: float, allowed: float, span: float) -> None:
    if math.isnan(error) or error > max(allowed, _TINY):
        raise ParityLost(
            f"{subject} differs by {error:.3g} ({measure}), where outputs reach {span:.3g}",
            expected=f"at most {allowed:.3g}",
            remedy="This is a defect of edgefleet, or of the source model's own runtime: please report it.",
            error=error,
            allowed=allowed,
        )


def _outputs(first: Model, second: Model, samples: Sequence[Sample]) -> list[tuple[Values, Values]]:
    """For each output, what both models give: all cases in one array each."""
    pairs = [(first(sample), second(sample)) for sample in samples]
    return [
        (np.stack([_flat(one[index]) for one, _ in pairs]), np.stack([_flat(other[index]) for _, other in pairs]))
        for index in range(len(pairs[0][0]))
    ]


def _root_mean_square(expected: Values, seen: Values) -> float:
    return float(np.sqrt(np.square(_difference(expected, seen)).mean()))


def _deviation(values: Values) -> float:
    """How far the values lie from their mean; 0 where some are no numbers."""
    with np.errstate(invalid="ignore", over="ignore"):
        deviation = float(values.std())
    return deviation if math.isfinite(deviation) else 0.0


def _difference(expected: Values, seen: Values) -> Values:
    """Absolute differences; none where both are the same infinity, or neither is a number."""
    same = (expected == seen) | (np.isnan(expected) & np.isnan(seen))
    with np.errstate(invalid="ignore"):
        return np.where(same, 0.0, np.abs(expected - seen))


def _span(values: Values) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _flat(values: NDArray[np.generic]) -> Values:
    return values.reshape(-1).astype(np.float64)
