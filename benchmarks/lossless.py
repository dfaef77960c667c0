"""Lossless pruning of int8 TFLite files: what it takes, and that nothing changes but cost.

No peer takes channels out of a quantised file: each stands beside the file itself. The digits as edgefleet makes them
int8 where ``../shared`` holds none.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.processes import Cost, run
from benchmarks.progress import tell
from benchmarks.speeds import Speed, speed, time_models
from benchmarks.subjects import ROOT, SHARED
from edgefleet_compiler.checks.runtimes import Runner, open_runner
from edgefleet_compiler.lowered.costs import macs, weights_bytes
from edgefleet_compiler.lowered.memory import plan_memory
from edgefleet_compiler.tflite.reader import read_tflite

_MODELS = {
    "ic": "pretrainedResnet_quant.tflite",
    "kws": "kws_ref_model.tflite",
    "vww": "vww_96_int8.tflite",
    "ad": "ad01_int8.tflite",
}
_TARGET = "nrf52840"
_CASES = 500
_HEAD = (
    "| model | bytes | ratio | weights | MACs | arena | outputs that differ | x source [95 %] | s | peak MB |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Costs:
    """What a file costs: its bytes, those of its constants, multiply-accumulates, bytes of its planned activations."""

    size: int
    weights: int
    macs: int
    arena: int

    @staticmethod
    def of(data: bytes) -> Costs:
        """Those of a TFLite file."""
        graph = read_tflite(data)
        return Costs(len(data), weights_bytes(graph), macs(graph), plan_memory(graph).peak_bytes)


@dataclass(frozen=True)
class Result:
    """One model before and after.

    Attributes:
        name: Of the model.
        before: What the source costs.
        after: What the artifact costs.
        differing: Outputs that are not equal, of ``compared``, in LiteRT without delegates.
        compared: Elements of all outputs.
        speed: Of the artifact beside the source in LiteRT with its default delegate.
        cost: Of the compilation.
    """

    name: str
    before: Costs
    after: Costs
    differing: int
    compared: int
    speed: Speed
    cost: Cost


def table() -> str:
    """All models, in Markdown."""
    with tempfile.TemporaryDirectory() as name:
        return "\n".join([_HEAD, *(_row(_measured(*source, Path(name))) for source in _sources(Path(name)))])


def _sources(folder: Path) -> Iterator[tuple[str, Path]]:
    if SHARED.is_dir():
        yield from ((name, SHARED / "models" / file) for name, file in _MODELS.items())
        return
    digits = ROOT / "examples" / "digits"
    run([
        "-m", "edgefleet", "model", "compile", str(digits / "digits.onnx"), "--target", _TARGET, "--recipe", "int8",
        "--calibration", str(digits / "calibration.npz"), "--out", str(folder / "source"), "--json",
    ])  # fmt: skip
    yield "digits", folder / "source" / _TARGET / "model.tflite"


def _measured(name: str, source: Path, folder: Path) -> Result:
    tell(f"{name}: taking out what never matters")
    out = folder / name
    cost = run(["-m", "edgefleet", "model", "compile", str(source), "--target", _TARGET, "--out", str(out), "--json"])
    before, after = source.read_bytes(), (out / _TARGET / "model.tflite").read_bytes()
    cases = list(_inputs(open_runner(before, "tflite", execution="plain")))
    unequal = [
        one != other
        for one, other in zip(_outputs(before, cases), _outputs(after, cases), strict=True)
    ]  # fmt: skip
    seconds = time_models([open_runner(data, "tflite") for data in (before, after)], _real(before, cases[0]))
    return Result(
        name,
        Costs.of(before),
        Costs.of(after),
        sum(int(each.sum()) for each in unequal),
        sum(each.size for each in unequal),
        speed(seconds[1], seconds[0]),
        cost,
    )


def _inputs(runner: Runner) -> Iterator[NDArray[np.int8]]:
    """Inputs as the model stores them: uniform noise, constants, noise in one half, single elements."""
    (tensor,) = runner.inputs
    generator = np.random.default_rng(0)
    for index in range(_CASES):
        noise = generator.integers(-128, 128, tensor.shape).astype(np.int8)
        flat = noise.reshape(-1)
        if index % 4 == 1:
            flat[:] = generator.integers(-128, 128)
        elif index % 4 == 2:
            flat[: flat.size // 2] = -128
        elif index % 4 == 3:
            flat[:] = -128
            flat[generator.integers(flat.size)] = 127
        yield noise


def _outputs(data: bytes, cases: list[NDArray[np.int8]]) -> list[NDArray[np.generic]]:
    runner = open_runner(data, "tflite", execution="plain")
    return [runner.infer([case])[0] for case in cases]


def _real(data: bytes, case: NDArray[np.int8]) -> NDArray[np.floating]:
    (tensor,) = open_runner(data, "tflite").inputs
    return np.asarray(tensor.load(case), np.float32)


def _row(result: Result) -> str:
    before, after = result.before, result.after
    cells = [
        result.name,
        _change(before.size, after.size),
        f"{after.size / before.size:.2f}",
        _change(before.weights, after.weights),
        _change(before.macs, after.macs),
        _change(before.arena, after.arena),
        f"{result.differing} of {result.compared:,}",
        f"{result.speed.ratio:.2f} [{result.speed.interval[0]:.2f}, {result.speed.interval[1]:.2f}]",
        f"{result.cost.seconds:.1f}",
        f"{result.cost.megabytes:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _change(before: int, after: int) -> str:
    return f"{before:,} to {after:,}" if after != before else f"{before:,}"
