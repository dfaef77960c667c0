"""The guide's Python is run as it stands, in one namespace from top to bottom."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_python_guide_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "examples" / "digits", tmp_path / "examples" / "digits")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "guide" / "python.md").read_text(), re.DOTALL)
    exec(compile("".join(blocks), "docs/guide/python.md", "exec"), {})
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("int8 ")
    assert "(1, 10)" in told[1]
    assert "budget" in told[2]
    assert (tmp_path / "out" / "rpi4" / "model.tflite").exists()
