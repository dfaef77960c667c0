"""SECURITY.md is the registry of defences, and the registry is the tests."""

from __future__ import annotations

import ast
from pathlib import Path

from attack.defences import DEFENCES, PAGE, page_with_table

ROOT = Path(__file__).resolve().parents[2]


def marks_of(path: Path) -> dict[str, bool]:
    """Node ids of a file's tests, and whether each is marked ``attack``."""
    parsed = ast.parse(path.read_text())
    marks = [ast.unparse(node.value) for node in parsed.body if isinstance(node, ast.Assign)
             and any(ast.unparse(target) == "pytestmark" for target in node.targets)]  # fmt: skip
    whole = any("mark.attack" in mark for mark in marks)
    file = path.relative_to(ROOT)
    return {
        f"{file}::{node.name}": whole or any("mark.attack" in ast.unparse(mark) for mark in node.decorator_list)
        for node in parsed.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def all_tests() -> dict[str, bool]:
    found: dict[str, bool] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        found |= marks_of(path)
    return found


def test_the_security_page_is_what_the_registry_says() -> None:
    page = PAGE.read_text()
    assert page == page_with_table(page), "run: PYTHONPATH=tests python -m attack.defences"


def test_every_row_names_tests_that_exist_and_are_marked_as_attacks() -> None:
    marked = all_tests()
    wrong = [test for defence in DEFENCES for test in defence.tests if not marked.get(test)]
    assert wrong == []


def test_every_attack_stands_in_a_row() -> None:
    """Those of the compiler are many; its rows name a representative of each kind."""
    listed = {test for defence in DEFENCES for test in defence.tests}
    attacks = {test for test, marked in all_tests().items() if marked and "/test_compiler_" not in test}
    assert sorted(attacks - listed) == []


def test_every_row_takes_something_away() -> None:
    assert [defence.threat for defence in DEFENCES if not defence.without or not defence.tests] == []
    threats = [defence.threat for defence in DEFENCES]
    assert len(set(threats)) == len(threats)
