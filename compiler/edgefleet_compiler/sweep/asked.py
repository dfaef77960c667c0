"""What a sweep was asked for, and in words how two requests differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

_UNTOLD = ("input-shapes", "labels", "normalisation")
"""Options whose values are too long for a sentence."""


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the results of a sweep hang on; where the files lie and who works on them is no part of it.

    Attributes:
        version: Of this form.
        source_sha256: Of the model.
        target: Name of the profile.
        profile_sha256: Of what the profile says.
        calibration_sha256: Of the data set; None without one.
        validation_sha256: As above.
        options: Every other option by name, where it was given.
        seed: Of everything random.
        tools: Versions by name.
    """

    version: int = 1
    source_sha256: str
    target: str
    profile_sha256: str
    calibration_sha256: str | None
    validation_sha256: str | None
    options: dict[str, str]
    seed: int
    tools: dict[str, str]


def differences(earlier: Asked, asked: Asked) -> str:
    """In words what an earlier request had otherwise; digests, which tell people nothing, are not told."""
    return ", ".join(_differences(earlier, asked))


def _differences(earlier: Asked, asked: Asked) -> Iterator[str]:
    if earlier.version != asked.version:
        yield f"another form of record ({earlier.version}, not {asked.version})"
    if earlier.source_sha256 != asked.source_sha256:
        yield "another model"
    if earlier.target != asked.target:
        yield f"another target ({earlier.target}, not {asked.target})"
    elif earlier.profile_sha256 != asked.profile_sha256:
        yield f"another profile of the target {asked.target}"
    yield from _of_data("calibration set", earlier.calibration_sha256, asked.calibration_sha256)
    yield from _of_data("validation set", earlier.validation_sha256, asked.validation_sha256)
    for name, was, wanted in _of_names(earlier.options, asked.options):
        yield f"another --{name}" if name in _UNTOLD else f"another --{name} ({was or 'none'}, not {wanted or 'none'})"
    if earlier.seed != asked.seed:
        yield f"another seed ({earlier.seed}, not {asked.seed})"
    for name, was, wanted in _of_names(earlier.tools, asked.tools):
        yield f"another version of {name} ({was or 'none'}, not {wanted or 'none'})"


def _of_data(name: str, earlier: str | None, asked: str | None) -> Iterator[str]:
    if earlier != asked:
        yield f"one without {name}" if earlier is None else f"one with a {name}" if asked is None else f"another {name}"


def _of_names(earlier: Mapping[str, str], asked: Mapping[str, str]) -> Iterator[tuple[str, str | None, str | None]]:
    for name in sorted({*earlier, *asked}):
        if earlier.get(name) != asked.get(name):
            yield name, earlier.get(name), asked.get(name)
