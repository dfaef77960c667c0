"""The form of a recipe, and how it is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

import msgspec

from edgefleet_compiler.compress.settings import Compression
from edgefleet_compiler.keeping import SCHEME
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_hardware.profile import Format

Scheme = Literal["int8", "int16x8", "dynamic", "weight-only", "fp16", "float", "source"]
Io = Literal["float", "int8", "source"]
IoLayout = Literal["source", "native"]

STATIC: tuple[Scheme, ...] = ("int8", "int16x8")
"""Schemes whose activations are integers by ranges that a calibration set shows."""

QUANTISING: tuple[Scheme, ...] = (*STATIC, "dynamic", "weight-only")
"""Schemes with settings of the quantiser."""


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """An explicit recipe.

    Attributes:
        version: Of this form.
        scheme: int8: weights and activations; int16x8: activations in 16 bits; dynamic: int8 weights, activations
            rounded to int8 at run time; weight-only: weights stored as integers, computed in float32; fp16: weights
            stored in 16 bits, computed in float32; float: unchanged; source: a source that is quantised already, with
            its own integers and scales.
        format: Of the artifact.
        io: Element type of the artifact's inputs and outputs; "source" keeps those of a quantised TFLite source.
        io_layout: Axis order of the artifact's 4-D inputs and outputs: the source's, or that of the runtime's kernels.
        seed: Of everything random.
        lossless: Whether the integers of a TFLite artifact are freed of channels that provably never matter.
        compress: What is taken away of the float hub first; None for nothing.
        quantise: Settings of the quantiser; None for schemes without one.
    """

    version: Literal[1] = 1
    scheme: Scheme
    format: Format
    io: Io
    io_layout: IoLayout
    seed: int
    lossless: bool = True
    compress: Compression | None = None
    quantise: Settings | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            ValueError: They do not; msgspec makes a ``ValidationError`` of it.
        """
        if self.scheme in QUANTISING and self.quantise is None:
            raise ValueError(
                f"the scheme {self.scheme} needs the table [quantise], which is missing; a line [quantise] alone "
                "takes the usual settings"
            )
        if self.scheme not in QUANTISING and self.quantise is not None:
            raise ValueError(
                f"the scheme {self.scheme} takes no table [quantise], which is for {', '.join(QUANTISING)}: take it out"
            )
        if self.io == "int8" and self.scheme not in ("int8", SCHEME):
            raise ValueError(f"io int8 needs the scheme int8, not {self.scheme}")
        if self.io == "source" and self.scheme != SCHEME:
            raise ValueError(f"io source needs the scheme source, not {self.scheme}")
        if self.compress is not None and self.scheme == SCHEME:
            raise ValueError(f"the table [compress] changes weights, and the scheme {SCHEME} keeps them")

    @property
    def settings(self) -> Settings:
        """Settings of the quantiser; only of schemes that have them."""
        assert self.quantise is not None, f"the scheme {self.scheme} quantises nothing"
        return self.quantise

    def with_settings(self, settings: Settings) -> Recipe:
        """The same recipe with other settings of the quantiser."""
        return msgspec.structs.replace(self, quantise=settings)

    def to_toml(self) -> str:
        """The recipe as the text of ``recipe.toml``: the same text for equal recipes."""
        lines = [
            "# What was done to the model. Replay it: edgefleet model compile MODEL --recipe recipe.toml ...",
            *_entries(self, ("version", "scheme", "format", "io", "io_layout", "seed", "lossless")),
            *_compression(self.compress),
        ]
        if self.quantise is not None:
            lines += ["", "[quantise]", *_entries(self.quantise, _PLAIN_SETTINGS)]
            lines += _table("quantise.ranges", self.quantise.ranges)
            for layer in sorted(self.quantise.layers):
                settings = self.quantise.layers[layer]
                lines += ["", f"[quantise.layers.{_quoted(layer)}]", *_entries(settings, settings.__struct_fields__)]
        return "\n".join(lines) + "\n"


_PLAIN_SETTINGS = tuple(field for field in Settings.__struct_fields__ if field not in ("ranges", "layers"))


def _compression(compress: Compression | None) -> list[str]:
    """The lines of the table ``[compress]``."""
    if compress is None:
        return []
    lines = []
    if (prune := compress.prune) is not None:
        lines += ["", "[compress.prune]", *_entries(prune, ("saliency", "refit"))]
        lines += _table("compress.prune.keep", prune.keep)
    lines += _table("compress.low-rank", compress.low_rank)
    if (finetune := compress.finetune) is not None:
        lines += ["", "[compress.finetune]", *_entries(finetune, finetune.__struct_fields__)]
    return lines


def _entries(struct: msgspec.Struct, fields: tuple[str, ...]) -> list[str]:
    """A line for each field that is not None; the keys are those of the file."""
    values = {field: getattr(struct, field) for field in fields}
    return [f"{field.replace('_', '-')} = {_value(value)}" for field, value in values.items() if value is not None]


def _table(name: str, entries: Mapping[str, object]) -> list[str]:
    rows = [f"{_quoted(key)} = {_value(entries[key])}" for key in sorted(entries)]
    return ["", f"[{name}]", *rows] if rows else []


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else _quoted(str(value))


def _quoted(text: str) -> str:
    """A basic string of TOML: JSON's escapes are among those that TOML 1.0.0 has, but for DEL, which it wants."""
    return json.dumps(text).replace("\x7f", "\\u007f")
