"""Settings, and what a machine finds out about itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_agent import detection
from edgefleet_agent.config import Config, load_config
from edgefleet_agent.folder import DataFolder
from edgefleet_contract.errors import RuntimeUnavailable, UsageMalformed
from edgefleet_contract.manifest import RuntimeNeed


def load(folder: Path, toml: str = "", **options: object) -> Config:
    (folder / "agent.toml").write_text(toml)
    return load_config(DataFolder(folder), options)


def test_options_go_before_the_file_and_the_file_before_defaults(tmp_path: Path) -> None:
    config = load(
        tmp_path, 'telemetry_interval_s = "10m"\nspool_max_bytes = "1MiB"\nthreads = 2', telemetry_interval_s="30s"
    )
    assert (config.telemetry_interval_s, config.spool_max_bytes, config.threads) == (30.0, 1 << 20, 2)
    assert config.listen == Config().listen
    assert load_config(DataFolder(tmp_path / "nowhere"), {"listen": None}) == Config()


@pytest.mark.parametrize(
    "toml",
    ["colour = 1", 'telemetry_interval_s = "soon"', "threads = 1.5", "threads = 0", 'spool_max_bytes = "1h"', "= ="],
)
def test_settings_that_mean_nothing_are_refused(tmp_path: Path, toml: str) -> None:
    with pytest.raises(UsageMalformed):
        load(tmp_path, toml)


@pytest.mark.parametrize(
    ("board", "target"),
    [
        ("Raspberry Pi Zero 2 W Rev 1.0\0", "rpi-zero2"),
        ("Raspberry Pi 3 Model B Plus Rev 1.3\0", "rpi3"),
        ("Raspberry Pi 4 Model B Rev 1.5\0", "rpi4"),
        ("Raspberry Pi 400 Rev 1.0\0", "rpi4"),
        ("Raspberry Pi Compute Module 4 Rev 1.1\0", "rpi4"),
        ("Raspberry Pi 5 Model B Rev 1.0\0", "rpi5"),
    ],
)
def test_a_raspberry_pi_knows_itself_by_its_device_tree(tmp_path: Path, board: str, target: str) -> None:
    (tmp_path / "model").write_text(board)
    assert detection.detect_target("aarch64", tmp_path / "model") == target


@pytest.mark.parametrize("machine", ["armv7l", "aarch64"])
@pytest.mark.parametrize("model", ["Raspberry Pi 2 Model B Rev 1.1\0", "Raspberry Pi 4 Model B Rev 1.5\0"])
def test_a_pi_with_a_32_bit_system_is_one_target_whatever_its_kernel(model: str, machine: str, tmp_path: Path) -> None:
    (tmp_path / "model").write_text(model)
    assert detection.detect_target(machine, tmp_path / "model", pointer_bytes=4) == "rpi2-armv7"


def test_a_pc_is_x86_64_and_an_unknown_board_must_be_named(tmp_path: Path) -> None:
    assert detection.detect_target("x86_64", tmp_path / "none") == "x86-64"
    with pytest.raises(UsageMalformed, match="'riscv64'"):
        detection.detect_target("riscv64", tmp_path / "none")
    (tmp_path / "model").write_text("Raspberry Pi Pico")
    with pytest.raises(UsageMalformed, match="'Raspberry Pi Pico'"):
        detection.detect_target("aarch64", tmp_path / "model")


def test_runtimes_are_compared_by_number_and_tflite_runtime_stands_in_for_litert() -> None:
    need = RuntimeNeed("litert", "2.3", [])
    for present in ({"litert": "2.10.0"}, {"litert": "2.3"}, {"tflite-runtime": "2.14.0"}):
        detection.check_runtime(need, present)
    for absent in ({}, {"litert": "2.2.9"}, {"onnxruntime": "9.0"}, {"litert": "2.2", "tflite-runtime": "2.14.0"}):
        with pytest.raises(RuntimeUnavailable, match=r"litert 2\.3 or newer"):
            detection.check_runtime(need, absent)
    with pytest.raises(RuntimeUnavailable):
        detection.check_runtime(RuntimeNeed("onnxruntime", "1", []), {"tflite-runtime": "2.14.0"})


def test_the_runtimes_installed_here_are_found() -> None:
    assert "litert" in detection.installed_runtimes()
