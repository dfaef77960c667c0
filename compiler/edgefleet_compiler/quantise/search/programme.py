"""Integer programmes, solved by HiGHS through SciPy, and nothing of what that says while it does."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.optimize import LinearConstraint


def least_choice(goal: NDArray[np.float64], constraints: Sequence[LinearConstraint]) -> NDArray[np.bool_] | None:
    """The binary variables with which a goal is least.

    Args:
        goal: What each variable adds, shape (variables,).
        constraints: That they have to keep.

    Returns:
        Shape (variables,); None where nothing keeps the constraints.
    """
    from scipy.optimize import Bounds, milp  # noqa: PLC0415 - heavy, and few recipes need it

    with _unheard():
        result = milp(
            goal,
            integrality=np.ones(len(goal)),
            bounds=Bounds(0, 1),
            constraints=constraints,
            options={"mip_rel_gap": 0.0},
        )
    found: Any = result.x
    return None if found is None else np.asarray(found > 0.5)


@contextmanager
def _unheard() -> Iterator[None]:
    """Let nothing reach standard output: HiGHS prints lines of its own there, whatever it is told.

    They come from C, whose buffer has to be empty before the descriptor is what it was.
    """
    flush = ctypes.CDLL(None).fflush
    sys.stdout.flush()
    flush(None)
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 1)
        yield
        flush(None)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)
