"""What one int8 compilation costs, beside the peers' barest.

Each is a cold process, in turns. edgefleet also measures parity and layers, writes reports and packs a bundle, which
the peers do not. The model is MLPerf Tiny's ic where ``../shared`` holds it, else the digits, which have no Keras file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.processes import Cost, median, run
from benchmarks.progress import tell
from benchmarks.published import plain_float
from benchmarks.subjects import ROOT, SHARED

REPEATS = 3


def table() -> str:
    """All compilers, in Markdown."""
    with tempfile.TemporaryDirectory() as name:
        commands = _commands(Path(name))
        run(_float_onnx(Path(name)))
        costs: dict[str, list[Cost]] = {compiler: [] for compiler in commands}
        for turn in range(1, REPEATS + 1):
            tell(f"compiling cold, turn {turn} of {REPEATS}")
            for compiler, command in commands.items():
                costs[compiler].append(run(command))
    ours = median(costs["edgefleet"])
    lines = ["| compiler | s | peak MB | edgefleet takes of its time | of its memory |", "|---|---|---|---|---|"]
    for compiler, measured in costs.items():
        theirs = median(measured)
        ratios = f"{ours.seconds / theirs.seconds:.2f} | {ours.megabytes / theirs.megabytes:.2f}"
        lines.append(f"| {compiler} | {theirs.seconds:.2f} | {theirs.megabytes:.0f} | {ratios} |")
    return "\n".join(lines)


def _model() -> tuple[Path, Path]:
    if SHARED.is_dir():
        return SHARED / "models" / "pretrainedResnet.tflite", SHARED / "data" / "cifar10_calibration.npz"
    return ROOT / "examples" / "digits" / "digits.onnx", ROOT / "examples" / "digits" / "calibration.npz"


def _commands(folder: Path) -> dict[str, list[str]]:
    model, calibration = _model()
    peer = ["-m", "benchmarks.peer_onnxruntime", str(folder / "float" / "x86-64" / "model.onnx"), str(calibration)]
    commands = {
        "edgefleet": [
            "-m", "edgefleet", "model", "compile", str(model), "--target", "rpi4", "--recipe", "int8",
            "--calibration", str(calibration), "--out", str(folder / "ours"), "--json",
        ],
        "onnxruntime.quantization": [*peer, str(folder / "peer.onnx"), "U8S8", "min-max"],
    }  # fmt: skip
    if model.suffix == ".tflite":
        plain = folder / "plain.tflite"
        plain.write_bytes(plain_float(model.read_bytes()))
        quantizer = ["-m", "benchmarks.peer_ai_edge_quantizer", str(plain), str(calibration)]
        commands["ai-edge-quantizer"] = [*quantizer, str(folder / "peer-aeq.tflite"), "min-max"]
    keras = model.with_suffix(".h5")
    if keras.exists():
        converter = ["-m", "benchmarks.peer_tflite_converter", str(keras), str(calibration)]
        commands["TFLiteConverter"] = [*converter, str(folder / "peer.tflite")]
    return commands


def _float_onnx(folder: Path) -> list[str]:
    """The model that onnxruntime's quantiser starts from."""
    return [
        "-m", "edgefleet", "model", "compile", str(_model()[0]), "--target", "x86-64", "--recipe", "float",
        "--out", str(folder / "float"), "--json",
    ]  # fmt: skip
