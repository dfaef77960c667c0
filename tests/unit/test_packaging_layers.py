"""The runtime twin of import-linter's contracts: what really is imported, in a fresh process."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    *("numpy", "onnx", "onnx_ir", "onnxruntime", "ai_edge_litert", "tensorflow"),
    *("sqlalchemy", "fastapi", "pydantic", "typer", "rich", "httpx"),
    *("tuf", "securesystemslib", "urllib3"),
}


def imported_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import edgefleet_agent.cli",
        "import edgefleet_agent.daemon",
        "from edgefleet_contract import bundle, enrolment, features, messages, sketches, topics, trust",
        "import edgefleet_hardware",
    ],
)
def test_the_agent_and_what_it_stands_on_import_nothing_heavy(statement: str) -> None:
    assert imported_by(statement) & HEAVY == set()


def test_asking_for_help_of_the_command_imports_no_noun() -> None:
    loaded = imported_by("import sys; sys.argv = ['edgefleet']\nfrom edgefleet.main import main\nmain(['--help'])")
    assert loaded & (HEAVY | {"edgefleet_compiler", "edgefleet_server", "edgefleet_agent"}) == set()
