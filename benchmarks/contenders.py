"""Who is measured: edgefleet and its peers, each with the command that compiles a subject in a process of its own.

onnxruntime's quantiser starts from the float ``.onnx`` that edgefleet exports, which is smaller and faster than what
other converters make of these models; ai-edge-quantizer from the published float ``.tflite``; TensorFlow's converter
from the published Keras file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.machine import features
from benchmarks.published import plain_float
from benchmarks.subjects import Subject

Format = Literal["tflite", "onnx"]
EDGEFLEET = "edgefleet"
FLOAT = "float"
FORMATS: tuple[Format, ...] = ("tflite", "onnx")
_ANY, _WITH_VNNI = "x86-64", "x86-64-vnni"
"""Targets: processors without VNNI need other weights, lest sums of products saturate; no peer sees to that."""

_REFINED = """version = 1
scheme = "auto"
rungs = ["int8-refined"]
"""
_PER_TENSOR = """version = 1
scheme = "int8"
format = "{format}"
io = "float"
io-layout = "source"
seed = 0

[quantise]
fully-connected = "per-tensor"
"""


@dataclass(frozen=True)
class Contender:
    """One way to compile one subject.

    Attributes:
        maker: Whose compiler.
        setting: How it is called.
        format: Of the artifact.
        arguments: Of the Python process that writes ``file``.
        file: The artifact.
        repeats: How often it is compiled, at most, for the medians of its cost.
    """

    maker: str
    setting: str
    format: Format
    arguments: tuple[str, ...]
    file: Path
    repeats: int = 3

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.maker} {self.setting}"

    @property
    def is_ours(self) -> bool:
        """Whether edgefleet made it by quantising."""
        return self.maker == EDGEFLEET and self.setting != FLOAT


def floats(subject: Subject, folder: Path) -> list[Contender]:
    """The subject in float, in each format: what speed is measured against."""
    return [edgefleet(subject, folder, FLOAT, form, FLOAT, repeats=1) for form in FORMATS]


def ours(subject: Subject, folder: Path) -> list[Contender]:
    """Edgefleet's ways."""
    refined = folder / "int8-refined.toml"
    refined.write_text(_REFINED)
    found = []
    for form in FORMATS:
        found += [
            edgefleet(subject, folder, "int8", form, "int8"),
            edgefleet(subject, folder, "int8, --io int8", form, "int8", "--io", "int8", repeats=1),
            edgefleet(subject, folder, "int8-refined", form, str(refined)),
            edgefleet(subject, folder, "auto", form, "auto", "--validation", str(subject.data.tuning)),
        ]
        if form == "onnx" and "VNNI" in features():
            found.append(edgefleet(subject, folder, "int8 without VNNI", form, "int8", repeats=1, target=_ANY))
        if subject.says == "score":  # fully connected throughout, where one scale a channel costs most bytes
            recipe = folder / f"per-tensor-{form}.toml"
            recipe.write_text(_PER_TENSOR.format(format=form))
            found.append(edgefleet(subject, folder, "int8 per tensor", form, str(recipe), repeats=1))
    return found


def peers(subject: Subject, folder: Path, float_onnx: Path) -> list[Contender]:
    """The others' ways."""
    found = []
    calibration = subject.data.calibration
    if subject.model.suffix == ".tflite":
        plain = folder / f"{subject.name}-plain.tflite"
        plain.write_bytes(plain_float(subject.model.read_bytes()))
        for ranges in ("default", "min-max"):
            file = folder / f"{subject.name}-aeq-{ranges}.tflite"
            arguments = module("peer_ai_edge_quantizer", plain, calibration, file, ranges)
            found.append(Contender("ai-edge-quantizer", ranges, "tflite", arguments, file))
    if subject.keras is not None:
        file = folder / f"{subject.name}-converter.tflite"
        arguments = module("peer_tflite_converter", subject.keras, calibration, file)
        found.append(Contender("TFLiteConverter", "int8", "tflite", arguments, file))
    for types in ("S8S8", "U8S8"):
        for ranges in ("min-max", "percentile"):
            file = folder / f"{subject.name}-{types}-{ranges}.onnx"
            arguments = module("peer_onnxruntime", float_onnx, calibration, file, types, ranges)
            found.append(Contender("onnxruntime", f"{types} {ranges}", "onnx", arguments, file))
    return found


def module(name: str, *arguments: object) -> tuple[str, ...]:
    """Arguments of Python that run a peer's module."""
    return ("-m", f"benchmarks.{name}", *map(str, arguments))


def edgefleet(
    subject: Subject,
    folder: Path,
    setting: str,
    form: Format,
    recipe: str,
    *options: str,
    repeats: int = 3,
    target: str = "",
) -> Contender:
    """One way of edgefleet's.

    Args:
        subject: What is compiled.
        folder: Where to.
        setting: Its name in tables.
        form: Of the artifact.
        recipe: For ``--recipe``.
        options: More of them.
        repeats: How often it is compiled, at most.
        target: Its profile; the machine's own where it is empty.
    """
    target = target or (_WITH_VNNI if "VNNI" in features() else _ANY)
    out = folder / f"{subject.name}-{re.sub('[^a-zA-Z0-9]+', '-', setting)}-{form}"
    arguments = (
        "-m", "edgefleet", "model", "compile", str(subject.model), "--target", target, "--recipe", recipe,
        "--calibration", str(subject.data.calibration), "--format", form, *options, "--out", str(out), "--json",
    )  # fmt: skip
    return Contender(EDGEFLEET, setting, form, arguments, out / target / f"model.{form}", repeats)
