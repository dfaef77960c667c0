"""What `edgefleet model compile` is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgefleet_hardware.profile import Format

if TYPE_CHECKING:
    from edgefleet_compiler.data import Normalisation  # loads numpy, which `--help` does without

DEFAULT_MAX_DROP = 0.01
MAX_SEED = 2**63 - 1  # the largest integer of TOML 1.0.0, in which recipes are written


@dataclass(frozen=True)
class CompileOptions:
    """One request to the compiler.

    Attributes:
        model: The source model.
        targets: Names of target profiles, or paths of the user's own.
        out: The folder that gets one folder a target.
        name: Of the bundle; None takes the model file's.
        version: Semantic version of the bundle.
        format: Of the artifact; None takes the target's default.
        calibration: Typical inputs: an ``.npz`` or a folder of images.
        validation: Inputs to measure on, with labels where there are any.
        metric: "top1", "mse", "auc", "agreement" or "module:function"; None chooses by the labels.
        recipe: A name, or the path of a recipe file.
        prune: The share of the multiply-accumulates that goes with whole channels; None for none.
        io: Element type of inputs and outputs; None takes the target's default.
        io_layout: Axis order of inputs and outputs; None takes the source's.
        max_drop: The largest loss of accuracy, a fraction; None for the default where there are labels.
        max_flash: Bytes of the artifact.
        max_ram: Bytes of working memory of an inference, by the planner of the target's runtime.
        max_latency: Seconds of one inference.
        seed: Of everything random; None is 0.
        input_shapes: Shapes for inputs that the source leaves open, by name.
        labels: Names of the classes, in the order of the outputs.
        normalisation: What is done to raw pixels before inference; None if nothing was said.
    """

    model: Path
    targets: tuple[str, ...]
    out: Path
    name: str | None = None
    version: str = "0.1.0"
    format: Format | None = None
    calibration: Path | None = None
    validation: Path | None = None
    metric: str | None = None
    recipe: str = "auto"
    prune: float | None = None
    io: Literal["float", "int8"] | None = None
    io_layout: Literal["source", "native"] | None = None
    max_drop: float | None = None
    max_flash: int | None = None
    max_ram: int | None = None
    max_latency: float | None = None
    seed: int | None = None
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    normalisation: Normalisation | None = None
