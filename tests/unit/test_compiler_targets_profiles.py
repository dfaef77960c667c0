"""Target profiles: ours are sourced, a user's own file works, and typing errors do not become wrong limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_contract.errors import ProfileMalformed, TargetUnknown
from edgefleet_hardware import units
from edgefleet_hardware.profile import load_profile, parse_profile, target_names

FIGURES = ("instruction_set", "extensions", "core", "cores", "clock", "ram", "flash", "runtimes")
COMPUTERS = ["android", "ios", "rpi-zero2", "rpi2-armv7", "rpi3", "rpi4", "rpi5", "web", "x86-64", "x86-64-vnni"]
MICROCONTROLLERS = [
    "corstone300-m55",
    "esp32-s3",
    "nrf52840",
    "rp2040",
    "rp2350",
    "stm32f746",
    "stm32h743",
    "stm32l433",
]
MINE = """
name = "my-board"
description = "my board"
hardware = ["my-board"]
instruction_set = "aarch64"
ram = "48MiB"
formats = ["tflite"]
dtypes = ["int8"]

[[runtimes]]
name = "litert"
format = "tflite"
minimum_version = "2.3"
"""


def test_the_documented_targets_are_there() -> None:
    assert target_names() == sorted([*COMPUTERS, *MICROCONTROLLERS])


@pytest.mark.parametrize("name", target_names())
def test_every_figure_of_a_profile_names_its_source(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    given = [figure for figure in FIGURES if getattr(profile, figure)]
    assert [figure for figure in given if not profile.sources.get(figure)] == []
    assert set(profile.sources) <= set(FIGURES)


@pytest.mark.parametrize("name", MICROCONTROLLERS)
def test_microcontrollers_run_int8_only_with_one_scale_for_fully_connected_weights(name: str) -> None:
    profile = load_profile(name)
    assert profile.is_microcontroller
    assert profile.int8_only
    assert not profile.quantiser.per_channel_fully_connected
    assert profile.formats == ["tflite"]
    assert profile.ram_bytes is not None
    assert profile.flash_bytes is not None


@pytest.mark.parametrize(
    ("name", "first"),
    [(name, "tflite") for name in COMPUTERS if name.startswith(("rpi", "android"))]
    + [(name, "onnx") for name in ("x86-64", "x86-64-vnni", "web", "ios")],
)
def test_the_first_format_of_a_pi_or_a_phone_is_tflite_and_of_a_pc_browser_or_iphone_onnx(
    name: str, first: str
) -> None:
    profile = load_profile(name)
    assert not profile.is_microcontroller
    assert profile.formats[0] == first


def test_a_32_bit_pi_has_no_runtime_but_tflite_runtime() -> None:
    profile = load_profile("rpi2-armv7")
    assert [(runtime.name, runtime.minimum_version) for runtime in profile.runtimes] == [("tflite-runtime", "2.14")]


def test_an_unknown_target_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(TargetUnknown) as refused:
        load_profile("rpi6")
    assert set(refused.value.facts["nearest"]) >= {"rpi4", "rpi5"}
    assert "Did you mean rpi5 or " in refused.value.remedy


def test_a_name_like_nothing_is_answered_with_all_names() -> None:
    with pytest.raises(TargetUnknown) as refused:
        load_profile("zzz")
    assert "nrf52840" in refused.value.expected


def test_a_users_own_profile_is_given_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    profile = load_profile(str(path))
    assert (profile.name, profile.ram_bytes, profile.flash_bytes) == ("my-board", 48 * 1024**2, None)


def test_a_path_without_a_file_is_an_unknown_target(tmp_path: Path) -> None:
    with pytest.raises(TargetUnknown, match="cannot be read"):
        load_profile(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (MINE.replace("ram =", "rma ="), "rma"),
        (MINE.replace("48MiB", "48 elephants"), "elephants"),
        (MINE.replace('"litert"', '"litetr"'), "litetr"),
        (MINE.replace('format = "tflite"', 'format = "onnx"'), "tflite"),
        (MINE.replace('dtypes = ["int8"]', "dtypes = []"), "dtypes"),
        (MINE.replace('name = "my-board"', "name = "), "line 2"),
        (MINE + 'operators = ["CONV2D"]', "such as CONV_2D"),
        (MINE.replace("ram =", 'extensions = ["sve"]\nram ='), "sve"),
        (MINE + 'kernels = "cmsis-nn"', "tflite-micro"),
        (MINE.replace('"litert"', '"tflite-micro"'), "kernels"),
        (MINE + "\x00", "read"),
        (MINE.replace('format = "tflite"', "format = 1"), "(in 'runtimes[0].format')"),
        (MINE + "#" * 70_000, "bytes"),
    ],
)
def test_a_profile_with_unknown_keys_units_or_values_is_refused(changed: str, named: str) -> None:
    with pytest.raises(ProfileMalformed) as refused:
        parse_profile(changed.encode(), where="mine.toml")
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("text", "size"), [("512", 512), ("64KiB", 65536), ("1.5MB", 1_500_000), (" 2 GiB ", 2 * 1024**3), ("0", 0)]
)
def test_sizes_are_read_with_their_units(text: str, size: int) -> None:
    assert units.parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "KiB", "-1", "1e3", "64kib", "0.3", "9" * 20, "1 MiB/s"])
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.parse_bytes(text)


def test_durations_and_frequencies_are_read_with_their_units() -> None:
    assert units.parse_seconds("20ms") == 0.02
    assert units.parse_seconds("300us") == pytest.approx(300e-6)
    assert units.parse_hertz("1.5GHz") == 1.5e9
    with pytest.raises(ValueError, match="ms"):
        units.parse_seconds("20")


def test_sizes_are_shown_as_people_read_them() -> None:
    assert [units.format_bytes(size) for size in (812, 86_080, 3 * 1024**2)] == ["812 B", "84.1 KiB", "3.0 MiB"]
