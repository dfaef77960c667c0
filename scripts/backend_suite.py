"""Run the node tests of the ``onnx`` package's backend suite and print what becomes of them, operator by operator.

Run: ``python scripts/backend_suite.py [OPERATOR ...] [--write]``. With operators only those are run, here and now, and
every test is told. With ``--write`` the pages ``node-tests.md`` and ``operators.md`` of ``docs/reference`` are
written; a test compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.onnx_backend import cases, operator_of, outcomes_of  # noqa: E402 - needs the path above
from support.onnx_backend_page import counts_page, pages  # noqa: E402 - as above
from support.onnx_backend_workers import outcomes  # noqa: E402 - as above

FOLDER = ROOT / "docs" / "reference"


def main(arguments: list[str]) -> None:
    """Run all tests, or those of some operators."""
    wanted = [argument for argument in arguments if argument != "--write"]
    if wanted:
        for case in cases():
            if operator_of(case).removesuffix(" (expanded)") in wanted:
                for outcome in outcomes_of(case):
                    print(f"{outcome.format:6}  {outcome.verdict:9}  {outcome.test}  {outcome.reason}"[:300])
        return
    results = outcomes()
    print(counts_page(results))
    for outcome in results:
        if outcome.verdict == "failed":
            print(f"FAILED {outcome.format}  {outcome.operator}  {outcome.test}: {outcome.reason[:300]}")
    if "--write" in arguments:
        for name, text in pages(results).items():
            (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
