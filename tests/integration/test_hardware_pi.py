"""The emulated Raspberry Pi: its root, what it tells programs, and whether its counter counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgefleet_contract.errors import EmulationFailed, EmulatorUnavailable, UsageMalformed
from edgefleet_hardware.pi import build
from edgefleet_hardware.pi.boards import BOARDS
from edgefleet_hardware.pi.build import build_root
from edgefleet_hardware.pi.emulator import CLASSES, EmulatedPi, open_pi
from edgefleet_hardware.pi.root import MARK
from support import counted_words
from support.emulated_pi import FOLDER, built_pi

pytestmark = pytest.mark.integration

# Encoded by hand from the Arm Architecture Reference Manual; QEMU's disassembler, which knows Armv8.0, agrees.
WORDS = {
    "sdot v0.4s, v1.16b, v2.16b": (0x4E829420, "dot"),
    "udot v0.4s, v1.16b, v2.16b": (0x6E829420, "dot"),
    "sdot v0.4s, v1.16b, v2.4b[0]": (0x4F82E020, "dot"),
    "udot v0.4s, v1.16b, v2.4b[0]": (0x6F82E020, "dot"),
    "mla v0.8h, v1.8h, v2.8h": (0x4E629420, "int_mlal"),
    "mls v0.8h, v1.8h, v2.8h": (0x6E629420, "int_mlal"),
    "mul v0.8h, v1.8h, v2.8h": (0x4E629C20, "int_mlal"),
    "mla v0.8h, v1.8h, v2.h[0]": (0x6F420020, "int_mlal"),
    "smlal v0.4s, v1.4h, v2.4h": (0x0E628020, "int_mlal"),
    "umlal2 v0.4s, v1.8h, v2.8h": (0x6E628020, "int_mlal"),
    "smull v0.8h, v1.8b, v2.8b": (0x0E22C020, "int_mlal"),
    "smlal v0.4s, v1.4h, v2.h[0]": (0x0F422020, "int_mlal"),
    "sqdmulh v0.4s, v1.4s, v2.4s": (0x4EA2B420, "simd_other"),
    "sqrdmulh v0.4s, v1.4s, v2.s[0]": (0x4F82D020, "simd_other"),
    "fmla v0.4s, v1.4s, v2.4s": (0x4E22CC20, "float_mla"),
    "fmls v0.4s, v1.4s, v2.4s": (0x4EA2CC20, "float_mla"),
    "fmla v0.4s, v1.4s, v2.s[0]": (0x4F821020, "float_mla"),
    "fmla v0.8h, v1.8h, v2.8h": (0x4E420C20, "float_mla"),
    "fmul v0.4s, v1.4s, v2.4s": (0x6E22DC20, "simd_other"),
    "add v0.4s, v1.4s, v2.4s": (0x4EA28420, "simd_other"),
    "sadalp v0.4s, v1.8h": (0x4E606820, "simd_other"),
    "dup v0.4s, w9": (0x4E040D20, "simd_other"),
    "fadd s0, s1, s2": (0x1E222820, "simd_other"),
    "ldr x9, [sp]": (0xF94003E9, "load_store"),
    "ldr q0, [sp]": (0x3DC003E0, "load_store"),
    "ld1 {v0.16b}, [sp]": (0x4C4073E0, "load_store"),
    "add x9, x9, #1": (0x91000529, "other"),
    "mul x9, x9, x9": (0x9B097D29, "other"),
    "nop": (0xD503201F, "other"),
}
TIMES = 1000
NOISE = 300  # scalar instructions of Python's own
VECTORS = ("dot", "int_mlal", "float_mla", "simd_other")


@pytest.fixture(scope="module")
def pi5() -> EmulatedPi:
    return EmulatedPi(BOARDS["rpi5"], built_pi())


def test_every_instruction_is_counted_once_and_in_its_class(pi5: EmulatedPi, tmp_path: Path) -> None:
    words = [word for word, _ in WORDS.values()]
    job = {"mark": MARK, "functions": [[], *([word] * TIMES for word in words)]}
    (tmp_path / "job.json").write_text(json.dumps(job))
    marks = pi5.run(Path(counted_words.__file__), ["job.json"], folder=tmp_path)
    assert [mark.number for mark in marks] == list(range(2 * len(words) + 2))
    regions = [
        {name: end.counts[name] - start.counts[name] for name in CLASSES}
        for start, end in zip(marks[::2], marks[1::2], strict=True)
    ]
    empty = regions.pop(0)
    for (text, (_, kind)), region in zip(WORDS.items(), regions, strict=True):
        more = {name: region[name] - empty[name] for name in CLASSES}
        assert round(more.pop(kind), -3) == TIMES, text
        assert max(map(abs, more.values())) < NOISE, text
        assert all(more[name] == 0 for name in VECTORS if name != kind), text


def test_a_program_sees_the_board_and_none_of_the_hosts_packages(tmp_path: Path) -> None:
    script = tmp_path / "look.py"
    script.write_text(
        "import json, os, pathlib, sys\n"
        "import numpy, onnxruntime\n"
        "from ai_edge_litert import interpreter\n"
        "told = [os.uname().machine, pathlib.Path('/proc/cpuinfo').read_text(), sorted(os.environ), sys.path,\n"
        "        [numpy.__version__, onnxruntime.__version__]]\n"
        "pathlib.Path('told.json').write_text(json.dumps(told))\n"
    )
    EmulatedPi(BOARDS["rpi3"], built_pi()).run(script, [], folder=tmp_path)
    machine, cpuinfo, variables, paths, versions = json.loads((tmp_path / "told.json").read_text())
    assert machine == "aarch64"
    assert cpuinfo.count("0xd03") == 4
    assert "Raspberry Pi 3 Model B" in cpuinfo
    assert "EDGEFLEET_HOME" not in variables
    assert paths[0] == "/edgefleet"
    assert all(path.startswith("/usr/lib/python3") for path in paths[1:])
    import numpy as np
    import onnxruntime

    assert versions == [np.__version__, onnxruntime.__version__]


def test_a_program_that_fails_is_told_by_its_last_words(pi5: EmulatedPi, tmp_path: Path) -> None:
    script = tmp_path / "fail.py"
    script.write_text("raise RuntimeError('no such kernel')")
    with pytest.raises(EmulationFailed, match=r"RuntimeError: no such kernel"):
        pi5.run(script, [], folder=tmp_path)


def test_a_root_that_is_built_is_taken_without_any_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = built_pi()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build_root(FOLDER, pytest.fail) == root


def test_a_missing_tool_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "tar").symlink_to(shutil.which("tar") or "")
    monkeypatch.setenv("PATH", str(tmp_path / "tools"))
    with pytest.raises(EmulatorUnavailable, match=r"apt-get install .* gcc libc6-dev mmdebstrap qemu-user"):
        build_root(tmp_path / "pi", pytest.fail)
    assert not (tmp_path / "pi").exists()


def test_a_build_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("gcc", "as", "ld", "tar", "qemu-aarch64"):
        (tools / name).symlink_to(shutil.which(name) or "")
    (tools / "mmdebstrap").write_text("#!/bin/sh\necho 'E: no network' >&2\nexit 100\n")
    (tools / "mmdebstrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/bin")
    with pytest.raises(EmulatorUnavailable, match=r"mmdebstrap failed with status 100 .*: E: no network"):
        build_root(tmp_path / "pi", lambda _: None)
    assert list((tmp_path / "pi").iterdir()) == []


def test_two_builds_at_once_leave_one_root(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "counter.so").write_text(name)
        build._settle(tmp_path / name, tmp_path / "place")
    assert (tmp_path / "place" / "counter.so").read_text() == "first"
    with pytest.raises(FileNotFoundError):
        build._settle(tmp_path / "third", tmp_path / "elsewhere")


def test_a_root_that_is_not_built_is_told_with_the_command_that_builds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEFLEET_PI", raising=False)
    with pytest.raises(EmulatorUnavailable, match=r"python -m edgefleet_hardware.pi"):
        open_pi("rpi4")


def test_a_missing_qemu_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmulatorUnavailable, match=r"apt-get install .* qemu-user"):
        open_pi("rpi4")


def test_a_board_that_is_not_emulated_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageMalformed, match=r"'rpi2-armv7'.*rpi-zero2, rpi3, rpi4, rpi5"):
        open_pi("rpi2-armv7")
