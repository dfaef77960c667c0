"""A compilation loads what it uses, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.integration

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
SHARED = Path(__file__).resolve().parents[3] / "shared"
MOST_BYTES = 250_000_000
"""Of resident memory at its peak, for the ladder of a small model."""

_COMPILE = """
import sys
from edgefleet.main import main
assert main(sys.argv[2:]) == 0
for name in sys.argv[1].split(","):
    assert name not in sys.modules, f"{name} was loaded"
"""

_LADDER = """
import sys
from edgefleet.main import main
assert main(["model", "compile", *sys.argv[1:], "--recipe", "auto"]) == 0
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak.split()[1], file=sys.stderr)
"""


def peak_of_the_ladder(*arguments: object) -> int:
    """Bytes of resident memory at the peak of a process that compiles with ``--recipe auto``."""
    command = [sys.executable, "-c", _LADDER, *map(str, arguments), "-t", "rpi4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-1]) * 1024


def test_no_symbolic_algebra_and_no_training_framework_is_loaded(tmp_path: Path) -> None:
    arguments = ["model", "compile", str(DIGITS / "digits.onnx"), "-t", "rpi4", "--out", str(tmp_path / "out")]
    arguments += ["--recipe", "int8", "--calibration", str(DIGITS / "calibration.npz")]
    unwanted = "sympy.core,tensorflow,keras,torch,scipy"
    done = subprocess.run(
        [sys.executable, "-c", _COMPILE, unwanted, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_was_deferred_works_when_it_is_used() -> None:
    story = "import edgefleet_compiler, onnx_ir; assert str(onnx_ir.SymbolicDim('n') + 1) in ('n + 1', '1 + n')"
    done = subprocess.run([sys.executable, "-c", story], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_the_ladder_of_the_digits_stays_within_its_memory(tmp_path: Path) -> None:
    data = ["--calibration", DIGITS / "calibration.npz", "--validation", DIGITS / "validation.npz"]
    assert peak_of_the_ladder(DIGITS / "digits.onnx", *data, "--out", tmp_path / "out") < MOST_BYTES


@pytest.mark.shared
def test_data_sets_far_larger_than_a_model_do_not_stay_in_memory(tmp_path: Path) -> None:
    data = []
    for option, name, count in (("--calibration", "calibration", 200), ("--validation", "validation", 500)):
        images = np.load(SHARED / "data" / f"cifar10_{name}.npz")["x"][:count].repeat(3, axis=1).repeat(3, axis=2)
        np.savez(tmp_path / f"{name}.npz", x=images.astype(np.float32) / 255)
        data += [option, tmp_path / f"{name}.npz"]
    peak = peak_of_the_ladder(SHARED / "models" / "vww_96_float.tflite", *data, "--out", tmp_path / "out")
    assert peak < MOST_BYTES
