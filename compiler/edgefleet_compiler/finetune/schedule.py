"""How large a step is: a short rise, then half a cosine down to nothing.

Source: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts; the rise as in Goyal et al. 2017, "Accurate,
Large Minibatch SGD", section 2.2.
"""

from __future__ import annotations

import math

_RISE = 0.05
"""The share of all steps that the rise takes."""


def learning_rate(step: int, steps: int, largest: float) -> float:
    """The rate of one step.

    Args:
        step: From 0.
        steps: Of the whole training.
        largest: The rate at the top.
    """
    rise = max(1, round(_RISE * steps))
    if step < rise:
        return largest * (step + 1) / rise
    return largest * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))
