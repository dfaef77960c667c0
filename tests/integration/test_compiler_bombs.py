"""A tiny file that asks for gigabytes or hours is refused by a documented error, within memory and time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.bombs import onnx_bombs, tflite_bombs

pytestmark = pytest.mark.integration

BYTES = 2 * 2**30  # of address space, of which the interpreter and the libraries take half
SECONDS = 60
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (limit := int(sys.argv.pop(1)), limit))
from edgefleet.main import main
sys.exit(main(sys.argv[1:]))
"""
FILES = {
    **{f"{name}.onnx": data for name, data in onnx_bombs().items()},
    **{f"{name}.tflite": data for name, data in tflite_bombs().items()},
}


@pytest.mark.parametrize("name", FILES)
def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path, name: str) -> None:
    assert len(FILES[name]) < 2**20
    (tmp_path / name).write_bytes(FILES[name])
    command = ["model", "compile", name, "--target", "rpi4", "--recipe", "float", "--out", "out", "--json"]
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(BYTES), *command],
        cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert ended.returncode in (2, 3), ended.stderr
    assert "Traceback" not in ended.stderr
    assert json.loads(ended.stdout)["error"]["code"] in ("model.malformed", "operator.unsupported")
    assert [path.name for path in tmp_path.glob("out/**/model.*")] == []


def test_a_file_over_two_gibibytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)  # a hole: it takes no room
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(BYTES), "model", "inspect", str(path), "--json"],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    error = json.loads(ended.stdout)["error"]
    assert error["code"] == "model.malformed"
    assert "2147483648 bytes" in error["seen"]
