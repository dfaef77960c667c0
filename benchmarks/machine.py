"""What a benchmark runs on and with: ratios travel between machines, but not between kinds of them."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PEERS = ("onnxruntime", "ai-edge-quantizer", "ai-edge-litert", "tensorflow-cpu")
_MATTERS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx_vnni": "VNNI", "asimddp": "dot product"}
"""Flags in /proc/cpuinfo of instructions that decide how fast int8 is."""


def features() -> list[str]:
    """What of the processor matters for int8."""
    words = set(Path("/proc/cpuinfo").read_text().split())
    return list(dict.fromkeys(name for flag, name in _MATTERS.items() if flag in words))


def machine() -> str:
    """Processor features, cores, and versions of the peers, in a sentence."""
    peers = ", ".join(map(_told, _PEERS))
    told = " with " + ", ".join(features()) if features() else ""
    return f"{platform.system()}, {platform.machine()}{told}, {os.cpu_count()} cores; {peers}."


def _told(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"
