"""The guide "Add an operator" shows the code as it is, and its commands do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "guide" / "add-an-operator.md").read_text()
SHOWN = re.findall(r"```python\n# (\S+)\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize(("path", "code"), SHOWN, ids=[path for path, _ in SHOWN])
def test_the_code_shown_stands_in_the_file_named(path: str, code: str) -> None:
    assert code in (ROOT / path).read_text()


def test_all_code_of_the_guide_names_its_file() -> None:
    assert len(SHOWN) == GUIDE.count("```python") >= 6


@pytest.mark.parametrize("name", re.findall(r"\| .*?`site\.(\w+)\(", GUIDE))
def test_the_methods_that_the_guide_tells_of_are_those_of_a_site(name: str) -> None:
    assert f"def {name}(" in (ROOT / "compiler" / "edgefleet_compiler" / "lower" / "site.py").read_text()


@pytest.mark.integration
def test_the_suite_told_of_one_operator_tells_every_test_of_it() -> None:
    command = next(line for line in GUIDE.splitlines() if line == "python scripts/backend_suite.py CumSum")
    ended = subprocess.run(
        [sys.executable, *command.split()[1:]], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    lines = ended.stdout.splitlines()
    assert {line.split()[1] for line in lines} == {"run", "skipped"}
    assert {line.split()[0] for line in lines if line.split()[1] == "run"} == {"onnx", "tflite"}
