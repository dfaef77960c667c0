"""The health check of a trial: do the golden vectors come out on this device?"""

from __future__ import annotations

import logging

from edgefleet_agent.inference import InferenceChild
from edgefleet_contract.errors import HealthCheckFailed, InputError
from edgefleet_contract.manifest import GoldenVectors, Manifest

log = logging.getLogger(__name__)


def check(child: InferenceChild, manifest: Manifest) -> None:
    """Run every set of golden vectors of a bundle.

    The artifact's own outputs tell whether this runtime computes it; the baseline's, whether it is still the model.

    Args:
        child: Has the bundle loaded.
        manifest: Of the bundle.

    Raises:
        HealthCheckFailed: An output is further off than its tolerance, or the largest output is elsewhere too often.
        InferenceFailed: The model crashes, hangs or takes too much memory.
    """
    for golden in manifest.golden:
        n, max_abs, agreement = _run(child, golden)
        log.info("golden vectors oracle=%s n=%d max_abs=%g agreement=%g", golden.oracle, n, max_abs, agreement)
        if max_abs > golden.max_abs or agreement < golden.min_argmax_agreement:
            raise HealthCheckFailed(
                f"On the golden vectors of the {golden.oracle} the outputs are up to {max_abs:g} off and"
                f" {agreement:.1%} of {n} cases agree",
                expected=f"at most {golden.max_abs:g}, and at least {golden.min_argmax_agreement:.1%}",
                remedy="This device does not compute the model as it was compiled; the last confirmed one goes on.",
                oracle=golden.oracle,
                max_abs=max_abs,
                argmax_agreement=agreement,
            )


def _run(child: InferenceChild, golden: GoldenVectors) -> tuple[int, float, float]:
    """Cases, largest difference and share of agreeing cases over a whole set."""
    start, total, agreements, max_abs = 0, 1, 0, 0.0
    while start < total:
        try:
            part = child.run_golden(golden.path, start)
        except InputError as error:
            raise HealthCheckFailed(f"The golden vectors of the {golden.oracle} cannot be run: {error}") from error
        start, total = start + part.n, part.total
        agreements += part.agreements
        max_abs = max(max_abs, part.max_abs)
    return total, max_abs, agreements / total
