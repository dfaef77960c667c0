"""Static shapes for a model's inputs, whatever its format: an open batch becomes 1, the rest is asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from edgefleet_contract.errors import UsageMalformed

OpenShape = Sequence[int | None]


def check_names(given: Iterable[str], inputs: Collection[str]) -> None:
    """Refuse shapes for inputs that are not there.

    Raises:
        UsageMalformed: There is one; it is named.
    """
    unknown = sorted(set(given) - set(inputs))
    if unknown:
        raise UsageMalformed(
            f"The model has no input {unknown[0]!r}",
            expected=f"one of {', '.join(map(repr, inputs))}",
            input=unknown[0],
        )


def fixed_shape(name: str, known: OpenShape | None, given: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of an input with every dimension known; an open first one, the batch, becomes 1.

    Args:
        name: Of the input, for errors.
        known: What the model says, None for each open dimension; or None if it says nothing.
        given: What the user says.

    Raises:
        UsageMalformed: A dimension stays open, or what the user says does not fit.
    """
    if given is not None:
        fits = known is None or (
            len(given) == len(known) and all(old in (None, new) for old, new in zip(known, given, strict=True))
        )
        if not fits or any(size < 1 for size in given):
            raise UsageMalformed(
                f"The input {name!r} was given the shape {_text(given)}",
                expected="positive sizes" if known is None else f"a shape that fits {_text(known)}",
                input=name,
            )
        return given
    if known is None:
        raise UsageMalformed(
            f"The model does not tell the shape of its input {name!r}",
            remedy=f"Give it, for example: --input-shape {name}=1,3,224,224",
            input=name,
        )
    shape = [1 if axis == 0 and size is None else size for axis, size in enumerate(known)]
    if None in shape:
        raise UsageMalformed(
            f"The input {name!r} has the shape {_text(known)}, with dimensions left open",
            expected="static shapes",
            remedy=f"Give it with a number for each '?': --input-shape {name}={_text(shape)}",
            input=name,
        )
    return tuple(size for size in shape if size is not None)


def _text(shape: OpenShape) -> str:
    return ",".join("?" if size is None else str(size) for size in shape)
