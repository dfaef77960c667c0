"""What this machine is, and which inference runtimes it has; nothing heavy is imported to find out."""

from __future__ import annotations

import platform
import re
import struct
import sys
from importlib import metadata
from pathlib import Path

from edgefleet_contract.errors import RuntimeUnavailable, UsageMalformed
from edgefleet_contract.manifest import RuntimeNeed

# The names that reports and manifests use, and the distributions that provide them.
_DISTRIBUTIONS = {"litert": "ai-edge-litert", "onnxruntime": "onnxruntime", "tflite-runtime": "tflite-runtime"}

# What the device tree of a Raspberry Pi says of itself (raspberrypi/linux, arch/arm/boot/dts/broadcom: "model").
_RASPBERRY_PI = (
    (re.compile(r"Raspberry Pi Zero 2\b"), "rpi-zero2"),
    (re.compile(r"Raspberry Pi (3|Compute Module 3)\b"), "rpi3"),
    (re.compile(r"Raspberry Pi (4|400|Compute Module 4)\b"), "rpi4"),
    (re.compile(r"Raspberry Pi (5|500|Compute Module 5)\b"), "rpi5"),
)
_RASPBERRY_PI_ARMV7 = re.compile(r"Raspberry Pi (Zero 2|[2345]|400|500|Compute Module [345])\b")


def detect_target(
    machine: str | None = None,
    model_file: Path = Path("/proc/device-tree/model"),
    *,
    pointer_bytes: int = struct.calcsize("P"),
) -> str:
    """The target profile of this machine.

    Args:
        machine: As ``uname -m`` says it; asked of the system by default.
        model_file: Where the device tree names the board.
        pointer_bytes: Of this process: a 32-bit system runs on a 64-bit kernel too, and only 32-bit runtimes on it.

    Raises:
        UsageMalformed: It is none that has a profile.
    """
    machine = machine or platform.machine()
    board = model_file.read_text(errors="replace").strip("\0\n ") if model_file.is_file() else ""
    if pointer_bytes == 4 and _RASPBERRY_PI_ARMV7.search(board):
        return "rpi2-armv7"
    for pattern, target in _RASPBERRY_PI:
        if pattern.search(board):
            return target
    if hasattr(sys, "getandroidapilevel"):
        return "android"
    if machine in ("x86_64", "AMD64"):
        return "x86-64"
    raise UsageMalformed(
        f"This machine says it is {board or machine!r}",
        expected="a Raspberry Pi Zero 2, 2, 3, 4 or 5, or 64-bit x86",
        remedy="Name its target profile with --target; `edgefleet target list` shows them.",
    )


def installed_runtimes() -> dict[str, str]:
    """Inference runtimes present, with their versions."""
    found = {}
    for name, distribution in _DISTRIBUTIONS.items():
        try:
            found[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return found


def check_runtime(need: RuntimeNeed, runtimes: dict[str, str]) -> None:
    """Refuse a bundle that nothing here runs.

    tflite-runtime stands in for LiteRT: it is the same interpreter under an older name and with version numbers of
    its own, so that only loading the artifact can tell whether it is new enough.

    Args:
        need: Of the bundle.
        runtimes: As :func:`installed_runtimes` found them.

    Raises:
        RuntimeUnavailable: None of ``runtimes`` is what ``need`` asks for.
    """
    if need.name in runtimes and _numbers(runtimes[need.name]) >= _numbers(need.min_version):
        return
    if need.name == "litert" and "litert" not in runtimes and "tflite-runtime" in runtimes:
        return
    present = ", ".join(f"{name} {version}" for name, version in runtimes.items()) or "no runtime"
    raise RuntimeUnavailable(
        f"This device has {present}",
        expected=f"{need.name} {need.min_version} or newer",
        remedy=f"Install it with `pip install 'edgefleet[agent,{need.name}]'`.",
        runtime=need.name,
        min_version=need.min_version,
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
