"""Sweeps of a small classifier, as a shell starts them."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from support.model_files import write_calibration, write_classifier, write_validation

PATIENCE_S = 120


@dataclass(frozen=True)
class SweepFiles:
    """A model with its data."""

    model: Path
    calibration: Path
    validation: Path

    def options(self, out: Path, points: int, *more: object) -> list[str]:
        """The words of the command behind ``edgefleet``."""
        data = ["--calibration", self.calibration, "--validation", self.validation]
        words = ["model", "sweep", self.model, "--target", "nrf52840", *data, "--out", out, "--points", points, *more]
        return [str(word) for word in words]

    def start(self, out: Path, points: int, *more: object) -> subprocess.Popen[str]:
        """The command as a process."""
        words = [sys.executable, "-m", "edgefleet", *self.options(out, points, *more)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def write_sweep_files(folder: Path) -> SweepFiles:
    """The classifier, calibrated and validated on random images."""
    model = write_classifier(folder / "model.onnx")
    return SweepFiles(model, write_calibration(folder / "c.npz"), write_validation(folder / "v.npz", model))


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def is_running(pid: int) -> bool:
    """Whether a process is there, and not merely waiting to be collected."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(what: object) -> None:
    """Wait until a file is there, or until a function says so."""
    end = time.monotonic() + PATIENCE_S
    while not (what.exists() if isinstance(what, Path) else what()):  # type: ignore[operator] # a function
        assert time.monotonic() < end, f"{what} did not come about"
        time.sleep(0.05)
