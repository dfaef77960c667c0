"""The health check of a trial: do the golden vectors come out on this device?"""

from __future__ import annotations

import logging

from edgefleet_agent.inference import InferenceChild
from edgefleet_contract.errors import HealthCheckFailed
from edgefleet_contract.manifest import Manifest

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
        seen = child.run_golden(golden.path)
        log.info("golden vectors oracle=%s n=%d max_abs=%g agreement=%g", golden.oracle, seen.n, seen.max_abs,
                 seen.argmax_agreement)  # fmt: skip
        if seen.max_abs > golden.max_abs or seen.argmax_agreement < golden.min_argmax_agreement:
            raise HealthCheckFailed(
                f"On the golden vectors of the {golden.oracle} the outputs are up to {seen.max_abs:g} off and"
                f" {seen.argmax_agreement:.1%} of {seen.n} cases agree",
                expected=f"at most {golden.max_abs:g}, and at least {golden.min_argmax_agreement:.1%}",
                remedy="This device does not compute the model as it was compiled; the last confirmed one goes on.",
                oracle=golden.oracle,
                max_abs=seen.max_abs,
                argmax_agreement=seen.argmax_agreement,
            )
