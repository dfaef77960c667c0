"""One rule for numbers: casts that lose nothing happen in silence, a cast that loses something is the error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgefleet_contract.errors import DataMalformed


def check_numeric(name: str, dtype: np.dtype[np.generic]) -> None:
    """Refuse element types that are no numbers.

    Raises:
        DataMalformed: Objects, text, complex numbers, records.
    """
    if dtype.hasobject or dtype.kind not in "biuf":
        raise DataMalformed(f"The array {name!r} has dtype {str(dtype)!r}", expected="integers, floats or booleans")


def cast_exactly(
    row: NDArray[np.generic], dtype: np.dtype[np.generic], *, name: str, index: int
) -> NDArray[np.generic]:
    """``row`` as ``dtype``, every value kept.

    Args:
        row: One case, of a numeric dtype.
        dtype: What the model takes.
        name: The array, for errors.
        index: The case's index, for errors.

    Raises:
        DataMalformed: NaN or infinity, or a value that ``dtype`` cannot hold exactly.
    """
    if row.dtype.kind == "f" and not np.isfinite(row).all():
        raise DataMalformed(
            f"The array {name!r} holds NaN or infinity in row {index}",
            expected="finite numbers",
            remedy="Drop or repair these rows.",
            array=name,
            row=index,
        )
    if np.can_cast(row.dtype, dtype, casting="safe"):
        return row.astype(dtype, copy=False)
    with np.errstate(all="ignore"):
        cast = row.astype(dtype)
        # Compared in the wider of both types; int64 beyond 2**53 has no wider float, hence the way back as well.
        kept = (cast == row) & (cast.astype(row.dtype) == row)
    if not kept.all():
        lost = row[~kept].flat[0]
        raise DataMalformed(
            f"The array {name!r} has dtype {str(row.dtype)!r}, and {lost!s} in row {index} is not exactly a {dtype}",
            expected=f"dtype {str(dtype)!r}, or values that it holds exactly",
            remedy=f"If the loss is meant, save the array with .astype({str(dtype)!r}).",
            array=name,
            row=index,
        )
    return cast
