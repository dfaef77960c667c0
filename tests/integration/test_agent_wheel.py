"""The agent as a device installs it: a wheel with the extras [agent,litert], and nothing else of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
# A device with these extras has neither onnxruntime, pillow, PKCS #11 nor a server: what needs them stays out.
ELSEWHERE = {f"test_agent_{name}.py" for name in ("onnxruntime", "pictures", "private", "renewal", "signers")}
TESTS = sorted(path for path in (ROOT / "tests" / "unit").glob("test_agent_*.py") if path.name not in ELSEWHERE)
TEST_TOOLS = ("pytest>=8.3", "pytest-timeout>=2.3", "pytest-socket>=0.7")
ABSENT = ("onnx", "onnxruntime", "tensorflow", "fastapi", "sqlalchemy", "typer", "rich", "pydantic")


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_a_wheel_with_the_agents_extras_alone_passes_the_agents_tests(tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[agent,litert]", *TEST_TOOLS, cwd=tmp_path)
    found = f"import importlib.util as u; print([name for name in {ABSENT} if u.find_spec(name)])"
    assert run(python, "-c", found, cwd=tmp_path) == "[]\n"
    assert "usage: edgefleet-agent" in run(tmp_path / "venv" / "bin" / "edgefleet-agent", "--help", cwd=tmp_path)
    pytest_command = tmp_path / "venv" / "bin" / "pytest"
    options = ("-q", "-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider", "--basetemp", tmp_path / "base")
    summary = run(pytest_command, *options, *TESTS, cwd=tmp_path).splitlines()[-1]
    assert " passed" in summary
    assert "skipped" not in summary
