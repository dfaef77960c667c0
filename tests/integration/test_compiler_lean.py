"""A compilation loads what it uses, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

DIGITS = Path(__file__).parents[2] / "examples" / "digits"

_COMPILE = """
import sys
from edgefleet.main import main
assert main(sys.argv[2:]) == 0
for name in sys.argv[1].split(","):
    assert name not in sys.modules, f"{name} was loaded"
"""


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
